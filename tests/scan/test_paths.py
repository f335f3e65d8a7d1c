"""scan.path_to(): a chain from a task's variable, or a global, to an object."""

import asyncio
import gc

import pytest

import preemptio
from preemptio import scan

pytestmark = pytest.mark.loop

PUBLIC = {}


class Row:
    pass


class Slotted:
    __slots__ = ("row",)


class Holder:
    def __init__(self, row):
        self.row = row


async def worker(_cache):
    await asyncio.sleep(3600)


def slotted(row):
    slotted = Slotted()
    slotted.row = row
    return slotted


def closed_over(row):
    def look():
        return row

    return look


def run(main):
    return preemptio.run(main, loop_factory=lambda: preemptio.new_event_loop(asyncio.SelectorEventLoop))


@pytest.mark.parametrize(
    ("wrap", "ends"),
    [
        (lambda row: [None, row], ("[1]",)),
        (lambda row: {"key": row}, ("['key']",)),
        (lambda row: {"rows": (0, row)}, ("['rows']", "[1]")),
        (Holder, (".row",)),
        (slotted, (".row",)),
        (closed_over, (".__closure__", "[0]", ".cell_contents")),
        (lambda row: [*range(100_000), row], ("[100000]",)),
    ],
    ids=["list", "dict", "nested", "instance", "slots", "function", "long"],
)
def test_the_chain_begins_at_a_variable(wrap, ends):
    """It is named with its line and its G; each link is written as one would in Python."""

    async def main():
        row = Row()
        task = asyncio.create_task(worker(wrap(row)), name="worker")
        await asyncio.sleep(0)
        return await scan.path_to(row), task

    path, task = run(main())
    assert path.g is task.g
    assert path.links[0].how.startswith("_cache (")
    assert tuple(link.how for link in path.links[1:]) == ends
    assert path.links[-1].what.endswith("Row")
    assert 'worker": _cache (' in str(path)


def test_a_global_is_found_too():
    """Then there is no G."""

    async def main():
        PUBLIC["row"] = row = Row()
        return await scan.path_to(row)

    path = run(main())
    PUBLIC.clear()
    assert path.g is None
    assert path.links[-1].how == "['row']"


def test_a_timer_is_found_too():
    """It is named by what it calls."""

    async def main():
        row = Row()
        asyncio.get_running_loop().call_later(3600, print, row)
        return await scan.path_to(row)

    assert run(main()).links[0].how.startswith("timer")


def test_the_callers_own_variable_is_no_answer():
    """Who asks has it, of course."""

    async def main():
        row = Row()
        gc.collect()
        return await scan.path_to(row)

    assert run(main()) is None
