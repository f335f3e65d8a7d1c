"""What the ladder says of a frame, in words: which frame refused, why, and what to do about it.

Problem. A verdict is one word, and the frame that refused is often not the one that was interrupted: a function of the
user's is refused because functools called it. Who is to help himself needs the frame.

What does not work. A second ladder that explains: it would say something else than the first after a few changes. To
have the tick remember the frame: that keeps all its variables alive.

What we do. The rules are asked as the tick asks them, and their walk over the frames, which also says which frame
decided, is asked again behind each frame that refused. So every frame out to the owner gets a remark.

Invariants. Nothing is changed: no status, no request, no trace function, and the fence of the collector is not put back
if it was lost, as a tick would do.

Context: any thread, a debugger included. The caller sees to it that the frame stands still, or accepts that it moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final, NamedTuple

from preemptio._core._gstatus import RUNNABLE, WAITING
from preemptio._core._reasons import PACKAGE, Verdict
from preemptio._preempt._whose import COROUTINE

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._safepoint import SafePoints

NO_TICK: Final = "; but no tick comes here (a loop outside the main thread, or PREEMPTIO_SOURCE=none)"
CHECKPOINT: Final = "call preemptio.checkpoint() in the computation, or decorate it with @preemptio.checkpointed"


class Judged(NamedTuple):
    """What the rules say of one frame."""

    where: str
    whose: str
    remark: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a task can be preempted at a place, and if not, why, as `preemptio.explain()` tells it. Print it."""

    verdict: Verdict
    """`Verdict.SAFE`, or the rule that refuses."""
    where: str
    """The frame that refuses, as `file:line in function`; the judged frame where no single one does."""
    why: str
    """The verdict's sentence, with what is known of this task."""
    advice: str
    """What to do about it; "" if there is nothing to do."""
    frames: tuple[Judged, ...]
    """The judged frame and those outward from it, to the coroutine that owns the step."""

    def __str__(self) -> str:
        """Lay it out in a few lines."""
        word = "can be preempted" if self.verdict is Verdict.SAFE else "cannot be preempted"
        lines = [f"{word}: {self.verdict}, at {self.where}", f"  why: {self.why}"]
        if self.advice:
            lines.append(f"  advice: {self.advice}")
        if self.frames:
            places, owners = (max(len(row[column]) for row in self.frames) for column in (0, 1))
            lines.append("  frames, the innermost first:")
            lines += [f"    {where:{places}}  {whose:{owners}}  {remark}" for where, whose, remark in self.frames]
        return "\n".join(lines)


def judge(rules: SafePoints, p: Processor, g: G, frame: FrameType, *, certain: bool, elsewhere: bool) -> Explanation:
    """Explain what the tick would say of `g` at `frame`.

    Args:
        rules: those of the G's loop.
        p: the processor of the G's loop.
        g: the G whose frame it is.
        frame: the frame to judge.
        certain: the frame stands in a call, and is judged as at the entry of what it calls.
        elsewhere: the caller is in another thread than the G's loop.
    """
    rules = rules.of(g)
    if p.curg is g and p.masked(g):
        verdict = Verdict.MASKED
    else:
        verdict = rules.verdict(g, frame, certain=certain, peek=True, elsewhere=elsewhere)
    decided = _refuser(rules, verdict, frame, elsewhere=elsewhere)
    advice = advise(rules, g, verdict, frame)
    why = verdict.doc + note(verdict, g)
    if verdict is Verdict.SAFE and p.clocked:
        why, advice = why + NO_TICK, CHECKPOINT
    rows = ((at, whose, f"refuses: {verdict}" if at is decided else said) for at, whose, said in _frames(rules, frame))
    return Explanation(verdict, place(decided or frame), why, advice, _summed(rows))


def no_step(rules: SafePoints, frame: FrameType, why: str) -> Explanation:
    """Explain a frame that is in no task's step: the tick asks no rules there."""
    verdict = Verdict.NO_OWNER
    frames = [(at, whose, "in no task's step") for at, whose, _ in _frames(rules, frame)]
    return Explanation(verdict, place(frame), f"{verdict.doc}: {why}", verdict.advice, _summed(iter(frames)))


def nowhere(g: G) -> Explanation:
    """Explain a G that has no frame: it has not begun, or is over."""
    verdict = Verdict.NOT_RUNNING
    return Explanation(verdict, g.created_at, verdict.doc + note(verdict, g), verdict.advice, ())


def _refuser(rules: SafePoints, verdict: Verdict, frame: FrameType, *, elsewhere: bool) -> FrameType | None:
    """Return the one frame that has brought the verdict about, if it is one frame's doing."""
    said, decided = rules.walk(frame, elsewhere=elsewhere)
    return decided if said is verdict and said is not Verdict.SAFE else None


def beyond(rules: SafePoints, g: G, verdict: Verdict, frame: FrameType) -> Verdict:
    """Return the verdict that is worth a report: of a place that is refused for its instruction, what a safe one has.

    A loop of a library's coroutine that calls C is met at the call nearly always, but to give way it needs a setting.
    """
    if verdict is not Verdict.OPCODE:
        return verdict
    said = rules.of(g).walk(frame)[0]
    section = g._extra.restartable
    if said is Verdict.SAFE and section is not None and section.holds(frame):
        return Verdict.RESTART
    return verdict if said is Verdict.SAFE else said


def advise(rules: SafePoints, g: G, verdict: Verdict, frame: FrameType) -> str:
    """Return the verdict's advice with the setting that allows the package whose frame, from this one outward, decided.

    A coroutine of the standard library should not be allowed; what helps there is what helps in its plain functions.
    """
    if PACKAGE not in verdict.advice:
        return verdict.advice
    rules = rules.of(g)
    decided = rules.walk(frame)[1]
    if decided is None:
        return verdict.advice
    value = rules.ownership.to_allow(decided)
    return verdict.advice_for(value) if value else Verdict.STDLIB.advice


def place(frame: FrameType) -> str:
    """Return `file:line in function`."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def note(verdict: Verdict, g: G) -> str:
    if verdict is Verdict.MASKED:
        return f" (its reason: {g.reason})" if g.reason else " (the mask of an eager task inside its step)"
    if verdict is not Verdict.NOT_RUNNING:
        return ""
    if g.status is WAITING:
        return f"; it waits: {g.wait_reason}"
    if g.status is RUNNABLE and g.parked:
        return "; it was preempted, and stands here until its next slice"
    return f"; it is {g.status}"


Row = tuple[FrameType, str, str]


def _frames(rules: SafePoints, innermost: FrameType) -> Iterator[Row]:
    """Yield each frame with whose it is and a remark; the walk goes on behind each that refuses."""
    whose = rules.ownership.whose
    frame: FrameType | None = innermost
    while frame is not None:
        verdict, decided = rules.walk(frame)
        while frame is not None and frame is not decided:
            yield frame, whose(frame).value, "may be stopped"
            frame = frame.f_back
        if frame is None:
            return
        yield frame, whose(frame).value, "owns the step" if verdict is Verdict.SAFE else f"refuses: {verdict}"
        if frame.f_code.co_flags & COROUTINE:
            return
        frame = frame.f_back


def _summed(rows: Iterator[Row]) -> tuple[Judged, ...]:
    """Make one line of a recursion."""
    found: list[Judged] = []
    last: CodeType | None = None
    times = 1
    for frame, whose, remark in rows:
        if frame.f_code is last:
            times += 1
            found[-1] = found[-1]._replace(remark=f"{found[-1].remark.partition(', ')[0]}, {times} times")
        else:
            found.append(Judged(place(frame), whose, remark))
            last, times = frame.f_code, 1
    return tuple(found)
