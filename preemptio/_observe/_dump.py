"""dump: every task, in the shape of Go's dumps of goroutines.

A head for each loop, then a paragraph for each task: its number and name, what it waits for and for how long, then its
stack, outermost first as in a traceback, then where it was created. Tasks that stand alike are one paragraph with a
count, as in Go's profile of goroutines with debug=1: a thousand requests that wait for one pool are one thing to read.

Go's dump has innermost first. Python's tracebacks have it last, and so has `preemptio.stack`.

Context: any thread, any callback, a task. See _snapshot.py for what is read how.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from preemptio._core._g import set_dump_others
from preemptio._core._mask import nopreempt
from preemptio._observe._snapshot import LOOKING, TIMEOUT, Seen, Snapshot, from_outside, snapshots
from preemptio._observe._text import NAMES, brackets, counted, quoted, together

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._scan._stack import StackFrame

FRAMES: Final = 50
"""Frames that are shown at each end of a very deep stack, as Go's dumps do."""

LONGEST: Final = 100_000
"""Characters of a dump in an internal error."""

_PLAIN: Final = frozenset({"", "Future", "Ended"})
"""What is awaited in the end, mostly: it says nothing that the state does not say."""


def dump(file: TextIO | None = None, *, loop: Any | None = None, group: bool = True, timeout: float = TIMEOUT) -> str:
    r"""Show every task of a loop: what it waits for and how long, its stack, where it was created.

    Args:
        file: where to write it, such as sys.stderr; None writes it nowhere.
        loop: by default the loop that runs in this thread; where none does, every preemptio loop of the process.
        group: show tasks that stand alike once, with their number.
        timeout: seconds to wait, in another thread, for a loop to answer. One that does not is read from outside.

    Returns:
        str: the text. It keeps nothing alive.

    Raises:
        NotInstalledError: the loop has no runtime.

    Context: anywhere but in a signal handler: a task, a callback, any thread, also while the loop is stuck or does not
        run. In the loop's thread it is of one moment, and nothing else runs meanwhile: some 100 us a task. Read from
        outside, it does not show the greenlets that tasks have made, nor who holds a lock in the middle of a step.

    Source: runtime.Stack(buf, true).

    Example:
        >>> import asyncio, preemptio
        >>> async def worker(queue):
        ...     await queue.get()
        >>> async def main():
        ...     queue = asyncio.Queue()
        ...     tasks = [asyncio.create_task(worker(queue)) for _ in range(3)]
        ...     await asyncio.sleep(0)
        ...     print(preemptio.dump().split("\n\n")[-1])
        ...     for task in tasks:
        ...         task.cancel()
        >>> preemptio.run(main())
        3 tasks G ...-... "Task-..." [queue get]:
            ... in worker: await queue.get()
            ... in Queue.get: await getter
          waits for asyncio.Queue 1 (0 queued)
          created by main... at ...
    """
    with nopreempt(LOOKING):
        text = text_of(snapshots(loop, timeout), group=group)
    if file is not None:
        file.write(text + "\n")
        file.flush()
    return text


def text_of(loops: Sequence[Snapshot], *, group: bool = True) -> str:
    """Return the text of a dump."""
    head = f"preemptio, process {os.getpid()}, CPython {sys.version.split()[0]}"
    if not loops:
        return f"{head}\nno loop of preemptio is open: preemptio.run(main()) starts one"
    return "\n\n".join([head, *("\n\n".join(_Text(each).paragraphs(group=group)) for each in loops)])


class _Text:
    """The text of one loop."""

    def __init__(self, loop: Snapshot) -> None:
        self._loop = loop
        self._names = {task.node: f"{task.node} {quoted(task.name)}" for task in loop.tasks}
        self._names |= {node: f"{node} ({state})" for node, state in loop.things.items() if state}
        self._awaited: dict[str, list[str]] = {}  # by who waits
        self._waiters: dict[str, list[str]] = {}  # by what is awaited
        for edge in loop.edges:
            self._awaited.setdefault(edge.waiter, []).append(edge.awaited)
            self._waiters.setdefault(edge.awaited, []).append(edge.waiter)

    def paragraphs(self, *, group: bool) -> Iterator[str]:
        """Yield the head, then the tasks: first the one that runs, then in the order of their birth."""
        yield "\n  ".join(self._loop.head)
        if self._loop.thread:
            yield "\n".join(["the loop's thread, in a callback:", *_stack(self._loop.thread)])
        tasks = sorted(self._loop.tasks, key=lambda each: not each.state.startswith("running"))
        groups: dict[object, list[Seen]] = {}
        for each in tasks:
            key = (each.state, each.frames, each.awaits.partition(" ")[0], each.created_at, each.flags)
            groups.setdefault(key if group else each.node, []).append(each)
        for alike in groups.values():
            yield "\n".join(self._paragraph(alike))

    def _paragraph(self, alike: list[Seen]) -> Iterator[str]:
        first, nodes = alike[0], [each.node for each in alike]
        state = brackets([first.state, *first.flags], [each.age for each in alike])
        yield f"{together(nodes, [each.name for each in alike])} {state}:"
        yield from _stack(first.frames)
        awaited = self._of(self._awaited, nodes)
        if awaited:
            yield f"  waits for {self._few(awaited)}"
        elif first.awaits.partition(" ")[0] not in _PLAIN:
            yield f"  waits for {first.awaits if len(alike) == 1 else first.awaits.partition(' ')[0]}"
        neighbours = self._of(self._waiters, nodes)
        held = [each for each in neighbours if each in self._loop.things]
        if held:
            yield f"  holds {', '.join(held)}"
        waiters = [each for each in neighbours if each not in self._loop.things]
        if waiters:
            yield f"  is awaited by {self._few(waiters)}"
        counts = sum((each.counts for each in alike), Counter[str]())
        if counts:
            notes = [f"{what} {n}" for what, n in counts.items()]
            yield f"  {', '.join(notes)}, cpu {sum(each.cpu for each in alike):.3f} s"
        if first.created_at:
            place, _, function = first.created_at.rpartition(" in ")
            yield f"  created by {function} at {place}" if place else "  created at an unknown place"

    def _of(self, edges: dict[str, list[str]], nodes: list[str]) -> list[str]:
        return list(dict.fromkeys(each for node in nodes for each in edges.get(node, ())))

    def _few(self, nodes: list[str]) -> str:
        shown = [self._named(each) for each in nodes[:NAMES]]
        more = len(nodes) - len(shown)
        return "; ".join(shown) + f" and {more} more" * (more > 0)

    def _named(self, node: str) -> str:
        name = self._names.get(node, node)
        holders = self._awaited.get(node, []) if node in self._loop.things else []
        return name + f", held by {', '.join(self._names[each] for each in holders[:NAMES])}" * bool(holders)


def _stack(frames: Sequence[StackFrame]) -> Iterator[str]:
    """Yield the lines of a stack: equal ones in a row once, with a count, and not the middle of a very deep one."""
    lines: list[tuple[StackFrame, int]] = []
    for each in frames:
        if lines and lines[-1][0] == each:
            lines[-1] = each, lines[-1][1] + 1
        else:
            lines.append((each, 1))
    left_out = len(lines) - 2 * FRAMES
    for index, (frame, times) in enumerate(lines):
        if left_out > 0 and index == FRAMES:
            yield f"    ... {counted(left_out, 'frame')} left out ..."
        if left_out > 0 and FRAMES <= index < FRAMES + left_out:
            continue
        source = f": {frame.source}" if frame.source else ""
        yield f"    {frame.file}:{frame.line} in {frame.function}{source}{f' ({times} times)' if times > 1 else ''}"


def _others(g: G) -> str:
    """Return the dump for an internal error about `g`: read as from outside, since a transition may be half done."""
    try:
        task = g.task
        return "" if task is None else text_of([from_outside(task.get_loop(), "an internal error")])[:LONGEST]
    except Exception as exc:
        return f"the other tasks cannot be read: {type(exc).__name__}"


set_dump_others(_others)
