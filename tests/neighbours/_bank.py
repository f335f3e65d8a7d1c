"""What the database tests share: accounts whose sum must not change, and transfers that are preempted half-way."""

import asyncio

from sqlalchemy import String, TypeDecorator, event, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import preemptio
from tests.behaviour._support import Flag, limit, parked, preempted, spin

ACCOUNTS = 4
EACH = 100
hooks = []
"""Called by the type of `owner`, in SQLAlchemy's greenlet, with each value that is written or read."""


class Called(TypeDecorator):
    """A string whose conversion runs the test's own code."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value, _dialect):
        for hook in hooks:
            hook(value)
        return value

    process_result_value = process_bind_param


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "preemptio_accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(Called(40))
    amount: Mapped[int]

    @hybrid_property
    def checked(self):
        """The amount, after a computation that is preempted."""
        until_preempted(asyncio.current_task())
        return self.amount


class Bank:
    """An engine with its sessions and a table of accounts."""

    def __init__(self, url, **options):
        self.engine = create_async_engine(url, **options)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        if self.engine.dialect.name == "sqlite":
            one_writer(self.engine.sync_engine)

    async def __aenter__(self):
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
        async with self.sessions.begin() as session:
            session.add_all(Account(id=n, owner=f"owner {n}", amount=EACH) for n in range(ACCOUNTS))
        return self

    async def __aexit__(self, *_exc):
        hooks.clear()
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
        await self.engine.dispose()

    async def total(self):
        async with self.sessions.begin() as session:
            return (await session.execute(select(func.sum(Account.amount)))).scalar_one()

    async def transfer(self, source, target, amount, compute):
        """Read, `compute`, write: what another transfer must not see the middle of."""
        rows = select(Account).where(Account.id.in_([source, target])).order_by(Account.id).with_for_update()
        async with self.sessions.begin() as session:
            found = {row.id: row for row in (await session.execute(rows)).scalars()}
            before = found[source].amount, found[target].amount
            compute(asyncio.current_task())
            found[source].amount = before[0] - amount
            await session.flush()
            compute(asyncio.current_task())
            found[target].amount = before[1] + amount

    def at_rest(self):
        """No connection is checked out of the pool."""
        return self.engine.pool.checkedout() == 0


def one_writer(engine):
    """SQLite: a transaction takes the write lock when it begins, as SQLAlchemy's documentation shows."""

    @event.listens_for(engine, "connect")
    def connect(connection, _record):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def until_preempted(task):
    """Compute until the CPU was taken from the task once more."""
    before = preempted(task)
    compute_until(lambda: preempted(task) > before)


def until_refused(verdict):
    """Compute until a tick was refused for this reason once more; return what was preempted meanwhile: nothing."""
    task = asyncio.current_task()
    before, was = task.g.refusals.get(verdict, 0), preempted(task)
    compute_until(lambda: task.g.refusals.get(verdict, 0) > before)
    return preempted(task) - was


def compute_until(reached):
    """Compute, and now and then ask; most ticks find the computation, and not the question."""
    for _ in range(limit() // 1000):
        for _ in range(1000):
            pass
        if reached():
            return
    raise AssertionError("it never was")


class Hogs:
    """Tasks that compute as long as the body runs, and were preempted before it starts."""

    def __init__(self, n=1):
        self.n = n
        self.flag = Flag()

    async def __aenter__(self):
        self.tasks = [preemptio.go(spin, self.flag) for _ in range(self.n)]
        await parked(*self.tasks)
        return self.tasks

    async def __aexit__(self, *_exc):
        self.flag.stop = True
        assert all(await asyncio.gather(*self.tasks))


async def keeps_its_sum(bank, tasks, transfers):
    """Transfers in many tasks, each preempted within its transaction, beside Hogs, and a reader."""
    sums = []

    async def move(n):
        for i in range(transfers):
            await bank.transfer((n + i) % ACCOUNTS, (n + i + 1) % ACCOUNTS, n + 1, until_preempted)

    async def read():
        while not all(mover.done() for mover in movers):
            sums.append(await bank.total())

    async with Hogs(2):
        movers = [asyncio.create_task(move(n)) for n in range(tasks)]
        await asyncio.gather(*movers, read())
    assert sums
    assert set(sums) == {ACCOUNTS * EACH}
    assert await bank.total() == ACCOUNTS * EACH
    assert min(map(preempted, movers)) >= 2 * transfers
