"""Gs and the scheduler, for tools and for the curious. Everything here may be read; nothing should be written."""

from preemptio._aio._inspect import all_gs as all_gs, counters as counters
from preemptio._aio._world import pauses as pauses
from preemptio._core._current import current_g as current_g
from preemptio._core._g import G as G
from preemptio._core._gstatus import TRANSITIONS as TRANSITIONS, Gstatus as Gstatus
from preemptio._core._pauses import Pauses as Pauses
from preemptio._core._reasons import (
    PauseReason as PauseReason,
    PreemptKind as PreemptKind,
    SafePointKind as SafePointKind,
    StopReason as StopReason,
    Verdict as Verdict,
    WaitReason as WaitReason,
)
from preemptio._core._refusals import Counters as Counters, Refusals as Refusals
from preemptio._preempt._explain import Explanation as Explanation, Judged as Judged
from preemptio._scan._stack import Stack as Stack, StackFrame as StackFrame
