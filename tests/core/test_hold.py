"""claim: who may be held where it stands, what becomes of a request, and that a stopped G has one owner."""

import pytest

from preemptio._core._g import new_g
from preemptio._core._gstatus import Gstatus
from preemptio._core._hold import claim, release
from preemptio._core._processor import Processor
from preemptio._core._reasons import PreemptKind
from tests.core.test_processor import Host, Job

CLAIMABLE = [Gstatus.RUNNABLE, Gstatus.SYSCALL, Gstatus.WAITING, Gstatus.LEAKED]
OTHERS = [status for status in Gstatus if status not in (*CLAIMABLE, Gstatus.PREEMPTED)]


class Task:
    def __init__(self, status):
        self.g = new_g(self, None, -1)
        self.g.status = status
        self.g.preempt = self.g.extra().preempt_stop = True

    def get_name(self):
        return "task"

    def get_coro(self):
        return None


@pytest.fixture
def p():
    return Processor(Host(), 0.005, 61)


@pytest.mark.parametrize("status", CLAIMABLE, ids=lambda status: status.name)
def test_one_that_does_not_run_is_claimed_by_the_scan_bit(p, status):
    """A request to stop has come too late, and is dropped: it would stop the G again when it runs."""
    task = Task(status)
    hold = claim(p, task.g)
    assert task.g.status is Gstatus[f"SCAN{status.name}"]
    assert (task.g.preempt, task.g.preempt_stop, hold.stopped) == (False, False, False)
    release(p, task.g, hold)
    assert task.g.status is status
    assert not p.holds


@pytest.mark.parametrize("status", OTHERS, ids=lambda status: status.name)
def test_one_that_runs_or_is_gone_is_not(p, status):
    """Nothing of it is changed: not its request, and not the bit that somebody else may have set. COPYSTACK as well."""
    task = Task(status)
    assert claim(p, task.g) is None
    assert (task.g.status, task.g.preempt, task.g.preempt_stop) == (status, True, True)
    assert not p.holds


def test_a_stopped_one_has_one_owner():
    """Whoever comes second shares the hold of the first. The G is owed the CPU once, at the end of it."""
    host, ran = Host(), []

    def hog(g):
        host.p.request(g)
        g.extra().preempt_stop = True
        host.p.preempt(g, PreemptKind.ASYNC)
        ran.append(g.slices)

    g = host.start(Job(hog)).g
    host.p.run_batch()
    assert g.status is Gstatus.PREEMPTED
    holds = [claim(host.p, g) for _ in range(3)]
    assert len(set(holds)) == 1
    assert (holds[0].readers, holds[0].stopped, g.preempt, g.preempt_stop) == (3, True, False, False)
    for hold in holds:
        assert (g.status, len(host.p.parked.heap), ran) == (Gstatus.SCANWAITING, 0, [])
        release(host.p, g, hold)
    assert (g.status, len(host.p.parked.heap)) == (Gstatus.RUNNABLE, 1)
    host.p.resume_parked()
    assert (g.status, ran) == (Gstatus.DEAD, [2])
