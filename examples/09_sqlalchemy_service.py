"""A service on SQLAlchemy whose queries go on while it computes a report.

    python examples/09_sqlalchemy_service.py

Measurements are in SQLite, by the ORM. A report smooths them and looks for outliers, in pure Python; meanwhile others
store and read. On plain asyncio they wait for the report. Transactions stay whole: SQLAlchemy runs its own code in
greenlets of its own, which are never preempted half-way; what is preempted is the report. Needs sqlalchemy[asyncio]
and aiosqlite.
"""

import asyncio
import math
import statistics
import tempfile
import time

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import preemptio

ROWS = 3000


class Base(DeclarativeBase):
    """What SQLAlchemy wants to see."""


class Measurement(Base):
    """One value at one time."""

    __tablename__ = "measurements"
    at: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]


def outliers(values, width=300):
    """Return the places where a value is far from the median around it."""
    found = []
    for at, value in enumerate(values):
        around = values[max(0, at - width) : at + width]
        middle = statistics.median(around)
        spread = statistics.median(abs(each - middle) for each in around)
        if abs(value - middle) > 6 * spread:
            found.append(at)
    return found


async def report(sessions):
    """Read all, and compute: this never awaits once the rows are there."""
    async with sessions() as session:
        values = (await session.scalars(select(Measurement.value).order_by(Measurement.at))).all()
    return outliers(values[:ROWS])


async def store(sessions, at):
    """Add a value, and read how many there are; return how long that took."""
    start = time.perf_counter()
    async with sessions.begin() as session:
        session.add(Measurement(at=at, value=math.sin(at / 50)))
    async with sessions() as session:
        await session.scalar(select(func.count()).select_from(Measurement))
    return time.perf_counter() - start


async def serve(label, directory):
    """Fill a database, then store values while the report is computed; return how many."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{directory}/{label}.db")
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions.begin() as session:
        values = [math.sin(at / 50) + (9 if at % 400 == 200 else 0) for at in range(ROWS)]
        session.add_all(Measurement(at=at, value=value) for at, value in enumerate(values))
    task = asyncio.create_task(report(sessions))
    took = [await store(sessions, ROWS)]
    while not task.done():
        took.append(await store(sessions, ROWS + len(took)))
    print(f"{label:9} outliers at {await task}, {len(took):3} values stored, slowest {max(took) * 1000:6.1f} ms")
    await engine.dispose()
    return len(took)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        frozen = asyncio.run(serve("plain", directory))
        kept = preemptio.run(serve("preempted", directory))
    print("values were stored meanwhile:", kept > frozen)
