"""The reasons table: why a G waits, why it was not preempted, how it was.

Every "why" of the runtime is a member of one of these enums and nothing else: the value is the metric label
and the word in a dump, `doc` is the row in the docs. A member is never reused for a second meaning; add one.
A verdict has an `advice` besides: what the user can type to have the task preempted. Logs, docs and explanations
print these columns, and none has words of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Self

PACKAGE: Final = "PACKAGE"
"""Stands in an advice for the name of the package whose code refused, as it is imported."""


class Reason(Enum):
    """A named reason with the sentence that explains it."""

    doc: str

    def __new__(cls, label: str, doc: str) -> Self:
        """Make the label the value, so that `Verdict("masked")` finds the member."""
        member = object.__new__(cls)
        member._value_ = label
        member.doc = doc
        return member

    __hash__ = object.__hash__  # in C, and not a frame of enum's in the middle of the user's own look-ups

    def __str__(self) -> str:
        """Show the label: what metrics, traces and dumps print."""
        return str(self.value)


class WaitReason(Reason):
    """What a WAITING G waits for, or one in SYSCALL. Derived when somebody looks: waiting costs nothing."""

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
    BLOCKING = "preemptio.blocking", "preemptio.blocking(): a call in a worker thread; the status is SYSCALL"
    WAIT = "preemptio.wait", "preemptio.wait(): the whole carrier is parked"


class PreemptKind(Reason):
    """How the CPU was taken from a G."""

    SYNC = "sync", "at a checkpoint of its own code, because its slice was used up"
    ASYNC = "async", "by the tick signal, at an asynchronous safe point"
    SEEK = "seek", "by the trace function that looked for the next safe point after the tick"


class SafePointKind(Reason):
    """Where a G stands that does not run: what its frames can be relied on for."""

    BLOCKED = "blocked", "at an await, in a call that blocks, or before its beginning"
    SYNC = "synchronous", "in preemptio.checkpoint() or preemptio.wait(), which its own code called"
    ASYNC = "asynchronous", "at a function's entry or a loop's back edge, where the tick stopped it"


class Verdict(Reason):
    """What the ladder of safe-point rules says of an interrupted frame: label, doc, and what the user can do."""

    advice: str

    def __new__(cls, label: str, doc: str, advice: str) -> Self:
        """Ask for the advice of every member: a refusal that nobody can do anything about helps nobody."""
        member = object.__new__(cls)  # enum has put a __new__ of its own in the place of Reason's
        member._value_ = label
        member.doc, member.advice = doc, advice
        return member

    def advice_for(self, package: str) -> str:
        """Return the advice with the name of the package that it speaks of, where it speaks of one."""
        return self.advice.replace(PACKAGE, package) if package else self.advice

    SAFE = "safe", "every rule agrees: the G may be stopped right here", ""
    NOT_RUNNING = (
        "not running",
        "no G is running a step on a carrier, or it is changing its status",
        "ask while it computes: print(preemptio.explain()) in its own code, or task.g.why_not_preempted()",
    )
    MASKED = (
        "masked",
        "inside `with preemptio.nopreempt(...)`; the request is kept until the mask drops",
        "end the `with preemptio.nopreempt(...)` before the long part, or make that part shorter",
    )
    OFF = (
        "off",
        "PREEMPTIO_DEBUG=asyncpreemptoff=1: only checkpoints give way",
        "take asyncpreemptoff=1 out of PREEMPTIO_DEBUG, or call preemptio.checkpoint() in the computation",
    )
    GC = (
        "gc",
        "the garbage collector is running below the frame; switching there corrupts its lists",
        "move long work out of __del__ and weakref callbacks; gc.freeze() after the start makes collections short",
    )
    FINALIZER = (
        "finalizer",
        "inside __del__, which runs at any place of any code",
        "move the work out of __del__: into a close() that is called, or into __exit__",
    )
    TRACER = (
        "tracer",
        "a debugger's trace function is installed; preemption stands aside until it is gone",
        "end the debugger, or call preemptio.checkpoint() in the computation: checkpoints still give way",
    )
    RUNTIME = (
        "runtime",
        "the interrupted frame is preemptio's own, so a transition may be half done",
        "nothing if it is rare: the next tick will meet the task's own code; else report it",
    )
    OPCODE = (
        "opcode",
        "not at a function's entry or a loop's back edge: straight-line code is atomic",
        "if it stays, one C call takes longer than a slice: await preemptio.blocking(function), or use a process",
    )
    NO_OWNER = (
        "no owner",
        "the stack ends before the task's step: a greenlet that the task made (SQLAlchemy, greenback), or a callback",
        "only tasks are preempted: start the work by preemptio.go(function), not in a callback or a greenlet",
    )
    OWNER = (
        "owner",
        "the coroutine that owns the step is a library's, which assumes that it runs alone",
        "do the long part in `await preemptio.go(function)`; or set PREEMPTIO_ALLOW=PACKAGE, if its code bears it",
    )
    STDLIB = (
        "stdlib",
        "inside a standard-library module that keeps state of its own (asyncio, threading, logging, ...)",
        "call the long part from a function of your own, or do it in a task of its own: preemptio.go(function)",
    )
    IMPORT = (
        "import",
        "inside an import: other tasks would see a half-built module",
        "import the module before the loop runs, or `await preemptio.blocking(importlib.import_module, name)`",
    )
    THIRD_PARTY = (
        "third party",
        "inside an async-aware library, which assumes that nothing runs between its awaits",
        "set PREEMPTIO_ALLOW=PACKAGE, if its code may be interrupted between awaits",
    )
    DENIED = (
        "denied",
        "inside code that PREEMPTIO_DENY or the task's policy denies",
        "take the entry out of PREEMPTIO_DENY or the policy, or allow the one function: allow=['module:function']",
    )
    C_FRAME = (
        "C frame",
        "C code below it waits for it to come back: a library's callback, a weak reference's, a signal handler's",
        "keep what is called back short: let it note what there is to do, and do that when the call has returned",
    )
    LOCK = (
        "lock",
        "the step holds a thread lock; another task that asked for it would block the thread for good",
        "release the lock before the long part, or hold an asyncio.Lock instead",
    )
    RESTART = (
        "restart",
        "in a restartable function, where it cannot be begun again: its last statement, or inside a `try` or `with`",
        "put the long part before the last statement, and outside of any `try` or `with`",
    )
    STACK = (
        "stack",
        "too close to the recursion limit to leave the carrier",
        "recurse less deeply, or call sys.setrecursionlimit() with more",
    )
    ERROR = (
        "error",
        "the rules themselves failed; see the internal error in the log",
        "report the internal error; meanwhile call preemptio.checkpoint() in the computation",
    )


class PauseReason(Reason):
    """Why the runtime itself stops the world; a program gives reasons of its own to `stop_the_world`."""

    DUMP = "dump", "every G is shown as it is at one moment"
    SCAN = "scan", "the end of a scan: what has changed since its beginning is looked at again"


class StopReason(Reason):
    """Why a runtime stopped a G or a run."""

    CANCEL = "cancel", "task.cancel() was delivered at a safe point"
    TIMEOUT = "timeout", "preemptio.timeout() expired"
    SHUTDOWN = "shutdown", "the run ended while the G still computed"
