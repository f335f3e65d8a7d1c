"""The processor by example: what the model cannot show, in the order of _processor.py."""

import contextvars
from collections import deque

import pytest
from greenlet import GreenletExit, getcurrent

from preemptio._core._carrier import POOL
from preemptio._core._g import new_g
from preemptio._core._gstatus import Gstatus
from preemptio._core._kill import kill
from preemptio._core._parked import Parked
from preemptio._core._processor import Processor
from preemptio._core._reasons import PreemptKind
from preemptio._core._step import ready, run_step
from preemptio._errors import InternalError


class Job:
    """A task whose next step is a function of it."""

    def __init__(self, *steps):
        self.steps = deque(steps)
        self.g = new_g(self, None, -1)

    def get_name(self):
        return "job"

    def get_coro(self):
        return None

    def done(self):
        return not self.steps

    def step(self):
        self.steps.popleft()(self.g)


class Host:
    """A queue that is drained in order."""

    def __init__(self):
        self.queue = deque()
        self.p = Processor(self, 0.005, 61)
        self.p.begin()
        self.carriers = []

    def start(self, job, context=None):
        context = contextvars.Context() if context is None else context  # an empty one is false
        ready(job.g)
        self.queue.append((job.g, job.step, (), context))
        return job

    def drain(self, carrier):
        self.carriers.append(carrier)
        while self.queue:
            item = self.queue.popleft()
            if isinstance(item, Parked):
                self.p.handoff = item
                return
            try:
                if run_step(self.p, item):
                    return
            except Exception as exc:
                if not self.p.step_raised(item, exc):
                    raise
                if self.p.attention:
                    return

    def enqueue(self, item):
        self.queue.append(item)

    def innermost_g(self):
        return None

    def arm(self):
        self.p.armed = True

    def leave(self):
        return "token"

    def enter(self, token):
        assert token == "token"

    def kick(self):
        pass


@pytest.fixture
def host():
    host = Host()
    yield host
    host.p.end()


def preempt(host):
    def stop(g):
        exc = host.p.preempt(g, PreemptKind.ASYNC)
        if exc is not None:
            raise exc

    return stop


def run(host):
    """Run until nothing is queued or parked."""
    while host.queue or host.p.parked:
        host.p.run_batch()
        if host.p.parked:
            host.p.resume_parked()


class TestCarriers:
    """Which greenlet runs what."""

    def test_one_serves_a_program_without_hogs(self, host):
        """Steps that are not preempted never need a second."""
        for _ in range(5):
            host.start(Job(lambda _: None))
            host.p.run_batch()
        assert len(set(host.carriers)) == 1
        assert host.p.idle == host.carriers[:1]

    def test_a_preempted_step_keeps_its_own(self, host):
        """It goes on where it stood; the batch goes on elsewhere; afterwards both are idle."""
        where = []

        def hog(g):
            where.append(getcurrent())
            host.p.preempt(g, PreemptKind.ASYNC)
            where.append(getcurrent())

        host.start(Job(hog))
        host.start(Job(lambda _: where.append(getcurrent())))
        host.p.run_batch()
        host.p.run_batch()
        host.p.resume_parked()
        assert where[0] is where[2] is not where[1]
        assert set(host.p.idle) == set(where)

    def test_the_pool_has_an_end(self, host):
        """A burst of hogs does not leave its carriers behind for ever."""
        jobs = [host.start(Job(preempt(host))) for _ in range(POOL + 9)]
        run(host)
        assert [job.g.status for job in jobs] == [Gstatus.DEAD] * len(jobs)
        assert len(host.p.idle) <= POOL + 1  # one that was never detached always goes back

    def test_end_ends_them(self, host):
        """A loop that does not run keeps no suspended frames."""
        host.start(Job(preempt(host)))
        run(host)
        idle = list(host.p.idle)
        host.p.end()
        assert idle
        assert all(carrier.dead for carrier in idle)

    def test_what_must_end_the_loop_arrives_in_the_hub(self, host):
        """KeyboardInterrupt of a step that was resumed; its context is free again."""
        context = contextvars.Context()

        def interrupted(g):
            host.p.preempt(g, PreemptKind.ASYNC)
            raise KeyboardInterrupt

        host.start(Job(interrupted), context)
        host.p.run_batch()
        with pytest.raises(KeyboardInterrupt):
            host.p.resume_parked()
        assert (host.p.carrier, host.p.blocked_contexts) == (None, {})
        assert host.start(Job(lambda _: None), context).g.status is Gstatus.RUNNABLE
        host.p.run_batch()


class TestRequests:
    """request, attention, settle."""

    def test_a_request_ends_the_batch(self, host):
        """After the step that was asked, the hub looks up; the request is over with the step."""
        ran = []
        asked = host.start(Job(host.p.request))
        host.start(Job(ran.append))
        host.p.run_batch()
        assert ran == []
        assert (asked.g.preempt, host.p.asked, host.p.attention) == (False, None, False)
        host.p.run_batch()
        assert len(ran) == 1

    def test_preemptions_are_counted_by_kind(self, host):
        """What a dump shows."""

        def hog(g):
            host.p.preempt(g, PreemptKind.ASYNC)
            host.p.preempt(g, PreemptKind.SEEK)
            host.p.preempt(g, PreemptKind.SEEK)

        job = host.start(Job(hog))
        run(host)
        assert job.g.preemptions == {PreemptKind.ASYNC: 1, PreemptKind.SEEK: 2}
        assert job.g.slices == 4

    def test_a_preemption_near_the_recursion_limit_changes_nothing(self, host):
        """No room to leave the carrier: a RecursionError, and the G runs on as it was."""

        def deep(g):
            try:
                deep(g)
            except RecursionError:
                if not seen:
                    with pytest.raises(RecursionError):
                        host.p.preempt(g, PreemptKind.SYNC)
                    seen.append((g.status, dict(g.preemptions), g.parked))
                raise

        def step(g):
            with pytest.raises(RecursionError):
                deep(g)

        seen = []
        host.start(Job(step))
        run(host)
        assert seen == [(Gstatus.RUNNING, {}, False)]


class TestOrder:
    """Who runs when."""

    def test_background_waits_for_quiet(self, host):
        """Its steps stand in the parked queue, behind the hogs."""
        ran = []
        background = Job(lambda _: ran.append("background"))
        extra = background.g.extra()
        extra.background = extra.aside = True
        ready(background.g)
        host.p.queue_aside((background.g, background.step, (), contextvars.Context()))
        host.start(Job(lambda g: (host.p.preempt(g, PreemptKind.ASYNC), ran.append("hog"))))
        run(host)
        assert ran == ["hog", "background"]

    def test_a_wait_that_is_over_has_its_place_in_the_queue(self, host):
        """unpark puts it behind what is queued, not into the parked queue."""
        ran = []

        def waits(g):
            records.append(host.p.park(g))
            host.p.stand(records[0])
            ran.append("waited")

        records = []
        host.start(Job(waits))
        host.p.run_batch()
        host.start(Job(lambda _: ran.append("before")))
        host.p.unpark(records[0])
        host.start(Job(lambda _: ran.append("after")))
        run(host)
        assert ran == ["before", "waited", "after"]

    def test_steps_of_one_context_keep_their_order(self, host):
        """While one stands in it the others wait, then they run in the order in which they came."""
        ran = []
        context = contextvars.Context()
        host.start(Job(lambda g: (host.p.preempt(g, PreemptKind.ASYNC), ran.append(0))), context)
        for n in (1, 2, 3):
            host.start(Job(lambda _, n=n: ran.append(n)), context)
        host.p.run_batch()
        host.p.run_batch()
        assert ran == []
        run(host)
        assert ran == [0, 1, 2, 3]


class TestMistakes:
    """What must never happen says so."""

    def test_a_step_that_is_queued_twice(self, host):
        """The second one is refused when it is scheduled, not when it runs."""
        job = host.start(Job(lambda _: None, lambda _: None))
        with pytest.raises(InternalError, match="-> runnable"):
            ready(job.g)

    def test_a_step_that_is_run_twice(self, host):
        """It must be queued in between."""
        job = host.start(Job(lambda _: None, lambda _: None))
        item = host.queue[0]
        host.p.run_batch()
        with pytest.raises(InternalError, match="runnable -> running"):
            run_step(host.p, item)
        assert job.g.status is Gstatus.WAITING

    def test_a_record_that_is_resumed_twice(self, host):
        """Exactly one party owes it the CPU."""
        job = host.start(Job(preempt(host)))
        host.p.run_batch()
        record = host.p.standing[job.g]
        host.p.resume_parked()
        with pytest.raises(InternalError, match="runnable -> running"):
            host.p.resume(record)


class TestKill:
    """kill, for a loop that closes."""

    def test_runs_finally_blocks(self, host):
        """The step ends where it stands."""
        ended = []

        def hog(g):
            try:
                preempt(host)(g)
                ended.append("went on")
            except GreenletExit:
                ended.append("exit")
            finally:
                ended.append("finally")

        job = host.start(Job(hog))
        host.p.run_batch()
        record = host.p.standing[job.g]
        assert kill(host.p, record)
        assert ended == ["exit", "finally"]
        assert (len(host.p.parked), host.p.standing, job.g.status) == (0, {}, Gstatus.DEAD)

    def test_says_so_when_the_step_goes_on(self, host):
        """One that catches everything and is preempted again is left behind."""

        def stubborn(g):
            try:
                preempt(host)(g)
            except GreenletExit:
                preempt(host)(g)

        job = host.start(Job(stubborn))
        host.p.run_batch()
        assert not kill(host.p, host.p.standing[job.g])
        assert kill(host.p, host.p.standing[job.g])

    def test_what_was_killed_is_not_run_by_the_queue(self, host):
        """It was ready again and queued when its loop was closed."""

        ended = []

        def waits(g):
            try:
                host.p.stand(host.p.goyield(g))
            finally:
                ended.append(g)

        job = host.start(Job(waits))
        host.p.run_batch()
        record = host.p.standing[job.g]
        assert list(host.queue) == [record]
        assert kill(host.p, record)
        run(host)
        assert ended == [job.g]
