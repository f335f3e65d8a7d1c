"""A query that is cancelled, or has a deadline, beside a hog: the pool gets its place back, and the next query works.

In a process of its own, since aiosqlite leaves the connection of a cancelled query behind, on any loop.

Uninjected: all of SQLAlchemy traced takes minutes
Exit: 0
"""

import asyncio
import tempfile

import sqlalchemy
from _common import Flag, parked, run, spin
from sqlalchemy.ext.asyncio import create_async_engine

import preemptio

SLOW = sqlalchemy.text(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) SELECT count(*) FROM n"
)


async def query(engine, statement):
    async with engine.connect() as connection:
        return (await connection.execute(statement)).scalar_one()


async def cancelled(engine):
    task = asyncio.create_task(query(engine, SLOW))
    while not engine.pool.checkedout():
        await asyncio.sleep(0)
    assert task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise AssertionError("it was not cancelled")


async def late(engine, limit):
    try:
        async with limit(0.002):
            await query(engine, SLOW)
    except TimeoutError:
        return
    raise AssertionError("the deadline did not come")


async def main(folder):
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/x.db", pool_size=2, max_overflow=0)
    for _ in range(3):
        await cancelled(engine)
        await late(engine, asyncio.timeout)
        await late(engine, preemptio.timeout)
    assert await query(engine, sqlalchemy.text("SELECT 42")) == 42
    assert engine.pool.checkedout() == 0
    await engine.dispose()
    flag.stop = True
    assert await hog


with tempfile.TemporaryDirectory() as folder:
    run(main(folder))
print("OK")
