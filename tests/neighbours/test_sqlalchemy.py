"""SQLAlchemy's asyncio on SQLite: what it does in greenlets of its own is not broken, what the user does is preempted.

SQLAlchemy runs its synchronous core in a greenlet that it makes within a task's step. A cancelled query is in
programs/, since aiosqlite leaves a connection behind; PostgreSQL is in tests/services.
"""

import asyncio

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.util import await_only, greenlet_spawn

import preemptio
from preemptio.lowlevel import Verdict
from tests.behaviour._support import preempted
from tests.neighbours._bank import (
    ACCOUNTS,
    EACH,
    Account,
    Bank,
    Hogs,
    hooks,
    keeps_its_sum,
    until_preempted,
    until_refused,
)

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest_asyncio.fixture
async def bank(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path}/bank.db"
    async with Bank(url, connect_args={"timeout": 30}) as bank:
        yield bank


async def test_queries_go_on_beside_a_hog(bank):
    """Eight tasks read and write by the ORM while two others compute without an await."""

    async def client(n):
        async with bank.sessions() as session:
            account = await session.get_one(Account, n % ACCOUNTS)
            return account.owner

    async with Hogs(2):
        owners = await asyncio.gather(*map(client, range(8)))
    assert owners == [f"owner {n % ACCOUNTS}" for n in range(8)]
    assert bank.at_rest()


async def test_transactions_keep_their_invariant(bank):
    """Preempted between reading and writing, in four tasks at once: no money is made or lost, at any time."""
    await keeps_its_sum(bank, tasks=4, transfers=2)


async def test_a_hybrid_is_preempted(bank):
    """Code of the user's that SQLAlchemy calls on the task's own stack is preempted like any."""
    async with Hogs(), bank.sessions() as session:
        account = await session.get_one(Account, 1)
        before = preempted(asyncio.current_task())
        assert account.checked == EACH
        assert preempted(asyncio.current_task()) > before


@pytest.mark.uninjected("that a tick is refused there: it may be stopped everywhere else")
@pytest.mark.parametrize("hook", ["type", "run_sync", "event"])
async def test_code_in_its_greenlet_is_not_preempted(bank, hook):
    """A long type conversion, `run_sync` function or event hook: the CPU is not taken, and explain() says why."""
    found = []

    def compute(*_args):
        if not found:
            found.append((until_refused(Verdict.NO_OWNER), preemptio.explain()))

    async with Hogs(), bank.sessions.begin() as session:
        if hook == "type":
            hooks.append(compute)
            await session.get_one(Account, 1)
        elif hook == "run_sync":
            await session.run_sync(compute)
        else:
            event.listen(session.sync_session, "before_flush", compute)
            (await session.get_one(Account, 1)).amount += 0
            session.add(Account(id=77, owner="new", amount=0))
            await session.flush()
        until_preempted(asyncio.current_task())  # behind it the task is preempted again
    ((taken, why),) = found
    assert taken == 0
    assert why.verdict is Verdict.NO_OWNER
    assert "greenlet" in why.why
    assert "preemptio.go" in why.advice
    assert await bank.total() == ACCOUNTS * EACH


async def test_it_cannot_give_way_in_its_greenlet():
    """checkpoint() does nothing there; wait() is refused, and says what can."""

    def inside():
        for _ in range(3):
            preemptio.charge(1000)
            preemptio.checkpoint()
        with pytest.raises(RuntimeError, match="its task can"):
            preemptio.wait(asyncio.sleep(0))
        return await_only(asyncio.sleep(0, "waited"))

    assert await greenlet_spawn(inside) == "waited"


async def test_a_deadline_reaches_a_computation_in_a_transaction(bank):
    """preemptio.timeout ends a loop that never awaits, and the transaction around it is rolled back."""
    async with Hogs():
        with pytest.raises(TimeoutError):
            async with bank.sessions.begin() as session:
                (await session.get_one(Account, 0)).amount = 0
                await session.flush()
                async with preemptio.timeout(0.002):
                    while True:
                        pass
        assert await bank.total() == ACCOUNTS * EACH
    assert bank.at_rest()


@pytest.mark.uninjected("that a tick is refused there: it may be stopped everywhere else")
async def test_a_deadline_waits_for_its_greenlet(bank):
    """preemptio.timeout that expires while SQLAlchemy's greenlet computes ends the task behind it, not within it."""
    seen = []

    def inside(_session):
        seen.extend(until_refused(Verdict.NO_OWNER) for _ in range(5))

    async with Hogs():
        with pytest.raises(TimeoutError):
            async with bank.sessions.begin() as session:
                (await session.get_one(Account, 0)).amount = 0
                async with preemptio.timeout(0.001):
                    await session.run_sync(inside)
                    while True:
                        pass
        assert await bank.total() == ACCOUNTS * EACH
    assert not any(seen)
    assert bank.at_rest()


async def test_greenlets_outlive_their_carriers():
    """Thirty tasks wait in greenlets of theirs, and are preempted between: each greenlet comes back to its own task.

    A greenlet has the carrier that it was born on as its parent, while its task's later steps run on others; and more
    carriers are in use than the pool keeps, so that some are gone by then.
    """

    def core(n):
        got = []
        for i in range(4):
            got.append(await_only(asyncio.sleep(0, (n, i))))
            assert asyncio.current_task().get_name() == str(n)
        try:
            await_only(fails(n))
        except ValueError as exc:
            got.append(exc.args[0])
        return got

    async def fails(n):
        until_preempted(asyncio.current_task())
        raise ValueError(n)

    async def client(n):
        until_preempted(asyncio.current_task())
        first = await greenlet_spawn(core, n)
        until_preempted(asyncio.current_task())
        assert await greenlet_spawn(core, n) == first
        return first

    async with Hogs(20):
        tasks = [asyncio.create_task(client(n), name=str(n)) for n in range(30)]
        results = await asyncio.gather(*tasks)
    assert results == [[*((n, i) for i in range(4)), n] for n in range(30)]
