"""What the rules know of a code object: one look-up a frame, however many rules ask.

Problem. A tick finds the processor's caches cold, since a thousandth of a second ago something else ran; then each
attribute, call and dictionary costs a microsecond or more that in a loop costs a twentieth. Rules that each walk the
frames and ask file, code and exception table anew took 100 us of every slice, for a stack of two frames.

What we do. Whatever depends on the code alone is found at its first frame and kept as one tuple. It is kept by the
code's identity: two equal functions of two files are equal codes, and hashing one walks all its instructions.

Invariants. An entry lives as long as its code, no longer: an identity is used again. Generated code is not kept, since
what names it, its file, is many modules' name. `@preemptible` on a function that has been met makes all be met anew.

Context: tick handler and trace callback.
"""

from __future__ import annotations

import weakref
from types import CodeType, FrameType
from typing import Final, NamedTuple

from preemptio._core._reasons import Verdict
from preemptio._preempt._held import may_hold
from preemptio._preempt._opcodes import marks
from preemptio._preempt._policy import WATCHERS
from preemptio._preempt._whose import COROUTINE, Ownership, Whose

GO_FRAMES: Final[set[CodeType]] = set()
"""Codes of the coroutines that `go(function)` wraps a plain function in: they own a step without being user code."""

BETWEEN: Final[set[CodeType]] = set()
"""Codes of the runtime's own that a step may be stopped above: they wrap a function of the user's."""

_REFUSED: Final = {
    Whose.STDLIB: Verdict.STDLIB,
    Whose.IMPORT: Verdict.IMPORT,
    Whose.ASYNC_LIBRARY: Verdict.THIRD_PARTY,
    Whose.RUNTIME: Verdict.RUNTIME,
    Whose.DENIED: Verdict.DENIED,
}

_ALWAYS: Final = frozenset({Verdict.RUNTIME, Verdict.DENIED})
"""Refusals that hold under PREEMPTIO_POLICY=any as well."""


class Known(NamedTuple):
    """What is known of a code object."""

    marks: bytes  # what each instruction means: see _opcodes
    refusal: Verdict | None  # why a step with a frame of it is not stopped
    owner: bool  # it owns the step
    may_hold: bool  # a frame of it may hold a lock
    runtime: bool
    kept_by: weakref.ref[CodeType] | None


class Codes:
    """Knows codes, by one policy."""

    def __init__(self, ownership: Ownership, any_code: bool) -> None:
        """Start with an empty memory."""
        self._ownership = ownership
        self._any_code = any_code
        self.known: dict[int, Known] = {}
        """By identity of the code; ask `of` for what is not there."""
        WATCHERS.add(self)

    def forget(self) -> None:
        """Meet every code anew."""
        self.known.clear()

    def of(self, frame: FrameType) -> Known:
        """Return what is known of a frame's code."""
        code = frame.f_code
        found = self.known.get(id(code))
        if found is None:
            found = self._meet(code, frame)
            if found.kept_by is not None:
                self.known[id(code)] = found
        return found

    def _meet(self, code: CodeType, frame: FrameType) -> Known:
        whose = self._ownership.whose(frame)
        owner = bool(code.co_flags & COROUTINE)
        refusal = self._refusal(code, whose, owner)
        known, key = self.known, id(code)
        kept_by = None if code.co_filename.startswith("<") else weakref.ref(code, lambda _: known.pop(key, None))
        return Known(marks(code), refusal, owner, may_hold(code), whose is Whose.RUNTIME, kept_by)

    def _refusal(self, code: CodeType, whose: Whose, owner: bool) -> Verdict | None:
        if not owner and code.co_name == "__del__":
            return Verdict.FINALIZER
        if code in (GO_FRAMES if owner else BETWEEN):
            return None
        refusal = _REFUSED.get(whose)
        if owner and whose is not Whose.USER and refusal is not Verdict.DENIED:
            refusal = Verdict.OWNER
        return None if self._any_code and refusal not in _ALWAYS else refusal
