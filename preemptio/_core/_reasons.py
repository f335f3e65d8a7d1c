"""The reasons table: why a G waits, why it was not preempted, how it was.

Every "why" of the runtime is a member of one of these enums and nothing else: the value is the metric label
and the word in a dump, `doc` is the row in the docs. A member is never reused for a second meaning; add one.
"""

from __future__ import annotations

from enum import Enum
from typing import Self


class Reason(Enum):
    """A named reason with the sentence that explains it."""

    doc: str

    def __new__(cls, label: str, doc: str) -> Self:
        """Make the label the value, so that `Verdict("masked")` finds the member."""
        member = object.__new__(cls)
        member._value_ = label
        member.doc = doc
        return member

    def __str__(self) -> str:
        """Show the label: what metrics, traces and dumps print."""
        return str(self.value)


class WaitReason(Reason):
    """What a WAITING G waits for. Derived when somebody looks, from the awaited object: waiting costs nothing."""

    NONE = "", "not waiting"
    AWAIT = "await", "awaits something that has no reason of its own here"
    SLEEP = "sleep", "asyncio.sleep"
    TASK = "task", "the end of another task"
    LOCK = "asyncio.Lock", "asyncio.Lock.acquire"
    EVENT = "asyncio.Event", "asyncio.Event.wait"
    CONDITION = "asyncio.Condition", "asyncio.Condition.wait"
    SEMAPHORE = "asyncio.Semaphore", "asyncio.Semaphore.acquire"
    QUEUE_GET = "queue get", "asyncio.Queue.get on an empty queue"
    QUEUE_PUT = "queue put", "asyncio.Queue.put on a full queue"
    STREAM = "IO wait", "a stream or socket"
    GROUP = "task group", "the children of a TaskGroup"
    GATHER = "gather", "asyncio.gather, wait or wait_for"
    WAIT = "preemptio.wait", "preemptio.wait(): the whole carrier is parked"


class PreemptKind(Reason):
    """How the CPU was taken from a G."""

    SYNC = "sync", "at a checkpoint of its own code, because its slice was used up"
    ASYNC = "async", "by the tick signal, at an asynchronous safe point"
    SEEK = "seek", "by the trace function that looked for the next safe point after the tick"


class Verdict(Reason):
    """What the ladder of safe-point rules says of an interrupted frame."""

    SAFE = "safe", "every rule agrees: the G may be stopped right here"
    NOT_RUNNING = "not running", "no G is running a step on a carrier, or it is changing its status"
    MASKED = "masked", "inside `with preemptio.nopreempt(...)`; the request is kept until the mask drops"
    OFF = "off", "PREEMPTIO_DEBUG=asyncpreemptoff=1: only checkpoints give way"
    GC = "gc", "the garbage collector is running below the frame; switching there corrupts its lists"
    FINALIZER = "finalizer", "inside __del__, which runs at any place of any code"
    TRACER = "tracer", "a debugger's trace function is installed; preemption stands aside until it is gone"
    RUNTIME = "runtime", "the interrupted frame is preemptio's own, so a transition may be half done"
    OPCODE = "opcode", "not at a function's entry or a loop's back edge: straight-line code is atomic"
    NO_OWNER = "no owner", "no coroutine of the step is on the stack above this frame (another greenlet, a callback)"
    OWNER = "owner", "the coroutine that owns the step is a library's, which assumes that it runs alone"
    STDLIB = "stdlib", "inside a standard-library module that keeps state of its own (asyncio, threading, logging, ...)"
    IMPORT = "import", "inside an import: other tasks would see a half-built module"
    THIRD_PARTY = "third party", "inside an async-aware library, which assumes that nothing runs between its awaits"
    STACK = "stack", "too close to the recursion limit to leave the carrier"
    ERROR = "error", "the rules themselves failed; see the internal error in the log"


class StopReason(Reason):
    """Why a runtime stopped a G or a run."""

    CANCEL = "cancel", "task.cancel() was delivered at a safe point"
    TIMEOUT = "timeout", "preemptio.timeout() expired"
    SHUTDOWN = "shutdown", "the run ended while the G still computed"
