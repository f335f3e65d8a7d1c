"""SQLAlchemy with asyncpg, and asyncpg alone, on a real PostgreSQL: `make test-services` starts one and runs this.

Not collected by `make test`. TEST_POSTGRES_URL is the server, as postgresql://user@host:port/database.
"""

import asyncio
import os

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

import preemptio
from preemptio.lowlevel import Verdict
from tests.behaviour._support import turns
from tests.neighbours._bank import ACCOUNTS, EACH, Account, Bank, Hogs, keeps_its_sum, until_preempted, until_refused

pytestmark = pytest.mark.asyncio

URL = os.environ["TEST_POSTGRES_URL"]


@pytest_asyncio.fixture
async def bank():
    async with Bank(URL.replace("postgresql:", "postgresql+asyncpg:"), pool_size=8) as bank:
        yield bank


@pytest.mark.parametrize("tasks", [2, 8])
async def test_transactions_keep_their_invariant(bank, tasks):
    """Preempted between reading and writing, with row locks taken: no money is made or lost, at any time."""
    await keeps_its_sum(bank, tasks=tasks, transfers=3)


async def test_code_in_its_greenlet_is_not_preempted(bank):
    """A long function in `run_sync` keeps the CPU; behind it the task is preempted again."""
    async with Hogs(), bank.sessions.begin() as session:
        assert await session.run_sync(lambda _: until_refused(Verdict.NO_OWNER)) == 0
        until_preempted(asyncio.current_task())
        assert (await session.get_one(Account, 1)).amount == EACH


async def test_cancelled_in_a_query(bank):
    """The server cancels the query, the transaction is rolled back, and the next one works."""

    async def client():
        async with bank.sessions.begin() as session:
            (await session.get_one(Account, 0)).amount = 0
            await session.flush()
            started.set()
            await session.execute(text("SELECT pg_sleep(60)"))

    async with Hogs():
        started = asyncio.Event()
        task = asyncio.create_task(client())
        await started.wait()
        await turns(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await bank.total() == ACCOUNTS * EACH
    assert bank.at_rest()


@pytest.mark.parametrize("limit", [asyncio.timeout, preemptio.timeout])
async def test_a_query_with_a_deadline(bank, limit):
    """Either timeout ends a query, and leaves the session usable."""
    async with Hogs(), bank.sessions() as session:
        with pytest.raises(TimeoutError):
            async with limit(0.005):
                await session.execute(text("SELECT pg_sleep(60)"))
        await session.rollback()
        assert (await session.get_one(Account, 1)).amount == EACH
    assert bank.at_rest()


async def test_asyncpg_itself():
    """A pool of its own: queries, a cursor in a transaction, and a notification, beside hogs."""
    told = asyncio.Event()
    async with Hogs(2), asyncpg.create_pool(URL, min_size=2, max_size=4) as pool:

        async def client(n):
            async with pool.acquire() as connection, connection.transaction():
                rows = [row[0] async for row in connection.cursor("SELECT generate_series(1, $1)", n)]
                until_preempted(asyncio.current_task())
                return sum(rows) == await connection.fetchval("SELECT $1 * ($1 + 1) / 2", n)

        assert all(await asyncio.gather(*map(client, range(1, 13))))
        async with pool.acquire() as listener, pool.acquire() as speaker:
            await listener.add_listener("preemptio", lambda *_: told.set())
            await speaker.execute("NOTIFY preemptio")
            await told.wait()
            await listener.reset()
