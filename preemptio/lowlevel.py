"""Gs and the scheduler, for tools and for the curious. Everything here may be read; nothing should be written."""

from preemptio._aio._inspect import all_gs as all_gs
from preemptio._core._current import current_g as current_g
from preemptio._core._g import G as G
from preemptio._core._gstatus import TRANSITIONS as TRANSITIONS, Gstatus as Gstatus
from preemptio._core._reasons import (
    PreemptKind as PreemptKind,
    StopReason as StopReason,
    Verdict as Verdict,
    WaitReason as WaitReason,
)
