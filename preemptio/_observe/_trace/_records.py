"""The table of records: what each kind says in its fields. Files carry its version.

Every record has `t`, nanoseconds of `time.perf_counter_ns`, and `g`, the number of a G or 0. Of a *text* it has the
number, which is looked up in the names of its own chunk. Times of what has lasted are those of its beginning.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from preemptio._core._reasons import PreemptKind, Verdict, WaitReason

VERSION: Final = 1

SLICE: Final = 1  # g ran. sub: preempt kind + 1, or 0. status: after it. number: carrier. x: how long
READY: Final = 2  # g became runnable. sub: reason of the wait that has ended. x: G that did it, or 0
CREATED: Final = 3  # sub: 0. number: text of where. x: G that did it, or 0
REFUSED: Final = 4  # g was not preempted. sub: verdict. number: text of the place
GC: Final = 5  # sub: generation. x: how long
STOPPING: Final = 6  # the world came to stand. number: text of why. x: how long that took
PAUSE: Final = 7  # the world stood, or was coming to. number: text of why. x: how long
TURN: Final = 8  # of the loop: from one poll to the next. x: how long
HELD: Final = 9  # g is suspended. x: how long after it was asked for
RELEASED: Final = 10
REGION: Final = 11  # number: text of its name
REGION_END: Final = 12  # number: text of its name
LOG: Final = 13  # number: text of the message

WAITS: Final = tuple(WaitReason)
KINDS: Final = tuple(PreemptKind)
VERDICTS: Final = tuple(Verdict)
WAIT_NUMBER: Final = {reason: number for number, reason in enumerate(WAITS)}
KIND_NUMBER: Final = {kind: number for number, kind in enumerate(KINDS, 1)}
VERDICT_NUMBER: Final = {verdict: number for number, verdict in enumerate(VERDICTS)}


class Record(NamedTuple):
    """One of them, as it is read."""

    kind: int
    sub: int
    status: int
    number: int
    g: int
    t: int
    x: int
