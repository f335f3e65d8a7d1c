"""A G's stack as a record: text and numbers, made while the G is held, and good for ever after.

Nothing of it refers to a frame or to what a variable holds: the lines of the source are read when it is printed.

Context: `stack_of` as `look`; the record anywhere.
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from preemptio._core._g import G
from preemptio._core._reasons import SafePointKind
from preemptio._scan._classes import attribute, attributes, qualname_of
from preemptio._scan._frames import kind_of, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preemptio._core._gstatus import Gstatus
    from preemptio._core._reasons import WaitReason
    from preemptio._scan._frames import Sight

REPEATED: Final = 3
"""Equal frames in a row that are printed; the rest is counted, as in a traceback."""


@dataclass(frozen=True, slots=True)
class StackFrame:
    """One frame of a G: where it stands."""

    file: str
    line: int
    function: str
    """Its qualified name."""
    kind: SafePointKind
    precise: bool
    """Whether everything is known that the frame refers to."""

    @property
    def source(self) -> str:
        """The line of the source, read now; '' if there is none."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        """Show it as a traceback does, with what is special about it."""
        marks = [str(self.kind)] * (self.kind is not SafePointKind.BLOCKED) + ["conservative"] * (not self.precise)
        marked = f" [{', '.join(marks)}]" if marks else ""
        head = f'  File "{self.file}", line {self.line}, in {self.function}{marked}\n'
        source = self.source
        return f"{head}    {source}\n" if source else head


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack of a G at the moment at which it was looked at. It keeps nothing of the G alive."""

    g_id: int
    name: str
    status: Gstatus
    wait_reason: WaitReason
    kind: SafePointKind
    """At which kind of safe point the G stands."""
    awaits: str
    """What the innermost frame awaits: its class and, of a task, the name; '' if it awaits nothing."""
    created_at: str
    frames: tuple[StackFrame, ...]
    """Outermost first, as in a traceback; those of the runtime that took the CPU are left out."""

    @property
    def precise(self) -> bool:
        """Whether everything is known that its frames refer to."""
        return all(each.precise for each in self.frames)

    def __str__(self) -> str:
        """Show it in the manner of a traceback."""
        waits = f": {self.wait_reason}" if str(self.wait_reason) else ""
        head = f'G {self.g_id} "{self.name}" [{self.status}{waits}], {self.kind}\n'
        body = f"Stack (most recent call last):\n{''.join(self._lines())}" if self.frames else ""
        awaits = f"awaits {self.awaits}\n" if self.awaits else ""
        return f"{head}{body}{awaits}created at {self.created_at}"

    def _lines(self) -> Iterator[str]:
        before, times = None, 0
        for each in (*self.frames, None):
            if each == before:
                times += 1
            else:
                if times > REPEATED:
                    yield f"  [Previous line repeated {times - REPEATED} more times]\n"
                before, times = each, 1
            if each is not None and times <= REPEATED:
                yield str(each)


def stack_of(g: G, sight: Sight | None = None) -> Stack:
    """Return the stack of a G that is held, or of the one whose own code asks; one that is dead has no frames."""
    if sight is None:
        sight = look(g)
    task = g.task
    awaiting = (g._extra.waiting_on, getattr(task, "_fut_waiter", None), sight.awaits)
    awaits = next((each for each in awaiting if each is not None), None)
    return Stack(
        g.id, g.name, g.status.base, g.wait_reason, kind_of(g), _described(awaits), g.created_at, frames_of(sight)
    )


def frames_of(sight: Sight) -> tuple[StackFrame, ...]:
    """Return the frames that were seen, as records."""
    return tuple(
        StackFrame(
            code.co_filename,
            each.frame.f_lineno or code.co_firstlineno,
            code.co_qualname,
            each.kind,
            each.precise,
        )
        for each in sight.frames
        for code in (each.frame.f_code,)
    )


def _described(thing: Any) -> str:
    if thing is None:
        return ""
    kind = qualname_of(type(thing))
    other = attribute(thing, "g") or attributes(thing).get("g")  # of a task
    return f'{kind} "{other.name}"' if type(other) is G else kind
