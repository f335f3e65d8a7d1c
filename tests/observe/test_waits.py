"""preemptio.waits: who waits for whom, as far as asyncio knows it."""

import asyncio
import shutil
import subprocess

import pytest

import preemptio
from preemptio._observe._edges import Edge
from preemptio._observe._waits import Node, Waits
from tests.behaviour._support import Flag, parked, spin, turns, waiting

pytestmark = pytest.mark.asyncio


async def forever():
    await asyncio.sleep(60)


async def hows(*coros):
    """Run coroutines until they wait, one after the other; return their edges by name of the task, and clean up."""
    tasks = []
    for n, coro in enumerate(coros):
        tasks.append(asyncio.create_task(coro, name=f"waiter {n}"))
        await waiting(tasks[-1])
    graph = preemptio.waits()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return named(graph)


def named(graph):
    """Return edges with the names of tasks for their numbers."""
    return {(graph.nodes[a].name or a, graph.nodes[b].name or b, how) for a, b, how in graph.edges}


async def test_tasks_that_wait_for_tasks():
    """By awaiting, wait_for, gather, wait, shield - of one, of a gather - and in a plain function."""
    one = asyncio.create_task(forever(), name="one")
    two = asyncio.create_task(forever(), name="two")

    async def awaits():
        await one

    async def wait_for():
        await asyncio.wait_for(one, 60)

    async def gather():
        await asyncio.gather(one, two)

    async def wait():
        await asyncio.wait([one, two])

    async def shield():
        await asyncio.shield(asyncio.gather(one, asyncio.shield(two)))

    plain = preemptio.go(preemptio.wait, asyncio.shield(one), name="plain")
    await parked(plain)
    found = await hows(awaits(), wait_for(), gather(), wait(), shield())
    pairs = {edge[:2] for edge in found}
    assert pairs == {
        ("waiter 0", "one"),
        ("waiter 1", "one"),
        *((f"waiter {n}", name) for n in (2, 3, 4) for name in ("one", "two")),
        ("plain", "one"),
    }
    assert ("waiter 0", "one", "await") in found
    assert ("waiter 2", "two", "gather") in found
    assert ("waiter 3", "two", "wait") in found
    assert ("waiter 4", "two", "shield") in found
    one.cancel(), two.cancel(), plain.cancel()
    await asyncio.wait([one, two, plain])


async def test_a_task_group():
    """The parent waits for its children once it is at the end of the `async with`, not before."""
    late = asyncio.Event()

    async def parent():
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(), name="child")
            await late.wait()

    task = asyncio.create_task(parent(), name="parent")
    await turns(3)
    assert named(preemptio.waits()) == {("parent", "asyncio.Event 1", "waits for")}
    late.set()
    await turns(3)
    assert named(preemptio.waits()) == {("parent", "child", "task group")}
    task.cancel()
    await asyncio.wait([task])


async def test_who_holds_a_lock():
    """Who has entered it by `async with`, wherever he stands now; not who waits for it, nor who has released it."""
    lock = asyncio.Lock()

    async def holds(event):
        async with lock:
            await event.wait()
        await forever()

    async def computes(flag):
        async with lock:
            spin(flag)

    event = asyncio.Event()
    first = asyncio.create_task(holds(event), name="first")
    await waiting(first)
    second = asyncio.create_task(holds(event), name="second")
    await waiting(second)
    assert named(preemptio.waits()) == {
        ("first", "asyncio.Event 1", "waits for"),
        ("asyncio.Lock 1", "first", "held by"),
        ("second", "asyncio.Lock 1", "waits for"),
    }
    event.set()
    await turns(2)
    while lock.locked():
        await asyncio.sleep(0)
    await waiting(first, second)
    assert named(preemptio.waits()) == set()
    first.cancel(), second.cancel()
    await asyncio.wait([first, second])
    with Flag() as flag:
        hog = asyncio.create_task(computes(flag), name="hog")
        await parked(hog)
        second = asyncio.create_task(holds(event), name="second")
        await waiting(second)
        assert ("asyncio.Lock 1", "hog", "held by") in named(preemptio.waits())
    await hog
    second.cancel()
    await asyncio.wait([second])


async def test_a_condition_and_a_semaphore():
    """Who waits in a Condition has released its lock; a Semaphore may have several holders."""
    condition, semaphore = asyncio.Condition(), asyncio.Semaphore(2)

    async def notified():
        async with condition:
            await condition.wait()

    async def enters():
        async with condition:
            await forever()

    async def limited():
        async with semaphore:
            await forever()

    found = await hows(notified(), enters(), enters(), limited(), limited(), limited())
    assert found == {
        ("waiter 0", "asyncio.Condition 1", "waits for"),
        ("asyncio.Lock 1", "waiter 1", "held by"),
        ("waiter 2", "asyncio.Lock 1", "waits for"),
        ("asyncio.Semaphore 1", "waiter 3", "held by"),
        ("asyncio.Semaphore 1", "waiter 4", "held by"),
        ("waiter 5", "asyncio.Semaphore 1", "waits for"),
    }


async def test_queues_and_events():
    """Who waits is known; who would put something in is not, and nobody is named."""
    queue, full, event = asyncio.Queue(), asyncio.Queue(1), asyncio.Event()
    full.put_nowait(1)
    found = await hows(queue.get(), full.put(2), full.join(), event.wait(), queue.get())
    assert {(who, what.rpartition(" ")[0]) for who, what, _ in found} == {
        ("waiter 0", "asyncio.Queue"),
        ("waiter 1", "asyncio.Queue"),
        ("waiter 2", "asyncio.Queue"),
        ("waiter 3", "asyncio.Event"),
        ("waiter 4", "asyncio.Queue"),
    }
    by = {who: what for who, what, _ in found}
    assert by["waiter 0"] == by["waiter 4"] != by["waiter 1"] == by["waiter 2"]


async def test_a_cycle():
    """Of two tasks that wait for each other's lock is shown first, once, and drawn red and thick."""
    one, two, both = asyncio.Lock(), asyncio.Lock(), asyncio.Barrier(2)

    async def takes(first, second):
        async with first:
            await both.wait()
            async with second:
                pass

    tasks = [asyncio.create_task(takes(one, two), name="a"), asyncio.create_task(takes(two, one), name="b")]
    while both.n_waiting or not (one.locked() and two.locked()):
        await asyncio.sleep(0)
    await waiting(*tasks)
    graph = preemptio.waits()
    (cycle,) = graph.cycles
    assert sorted(graph.nodes[node].name for node in cycle) == ["", "", "a", "b"]
    assert str(graph).startswith(f"cycle: {' -> '.join([*cycle, cycle[0]])}\n")
    assert graph.dot().count("color=red") == 4
    assert graph.mermaid().count("==>") == 4
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def chain(n, *, closed=False):
    nodes = {f"G {i}": Node(f"t{i}", "task") for i in range(1, n + 1)}
    edges = [Edge(f"G {i}", f"G {i + 1}", "await") for i in range(1, n)]
    return Waits(nodes, (*edges, *([Edge(f"G {n}", "G 1", "await")] * closed)))


async def test_the_tree():
    """Below each what it waits for; the second time by reference; equal ones in a crowd are one line."""
    nodes = {f"G {i}": Node(f"t{i}", "queue get" if i > 3 else "task") for i in range(1, 8)}
    nodes["asyncio.Queue 1"] = Node("", "0 queued")
    edges = [Edge("G 1", "G 3", "await"), Edge("G 2", "G 3", "await"), Edge("G 1", "G 4", "gather")]
    edges += [Edge("G 3", "G 4", "await"), *(Edge(f"G {i}", "asyncio.Queue 1", "waits for") for i in range(4, 8))]
    assert str(Waits(nodes, tuple(edges))).splitlines() == [
        'G 1 "t1" [task]',
        '|-- await G 3 "t3" [task]',
        '|   `-- await G 4 "t4" [queue get]',
        "|       `-- waits for asyncio.Queue 1 (0 queued)",
        '`-- gather G 4 "t4" [queue get]: see above',
        'G 2 "t2" [task]',
        '`-- await G 3 "t3" [task]: see above',
        '3 tasks G 5-7 "t5", "t6", "t7" [queue get]',
        "`-- waits for asyncio.Queue 1 (0 queued)",
    ]


async def test_a_very_long_chain():
    """Is neither recursed into, nor indented without end; and a long cycle is one."""
    lines = str(chain(10_000)).splitlines()
    assert max(map(len, lines)) < 250
    assert {line.rpartition('"')[0].rpartition('"')[2] for line in lines} == {f"t{i}" for i in range(1, 10_001)}
    (cycle,) = chain(10_000, closed=True).cycles
    assert len(cycle) == 10_000


async def test_drawings():
    """Names that mean something to Graphviz or Mermaid are only names there; dot can read it, where there is one."""
    name = 'x"] --> y; <b>\\'
    graph = Waits({"G 1": Node(name, "task"), "G 2": Node("t", "sleep")}, (Edge("G 1", "G 2", "await"),))
    assert graph.mermaid().splitlines()[1] == '  n0["G 1 #quot;x\\#quot;] --#gt; y; #lt;b#gt;\\\\#quot; [task]"]'
    assert '"G 1" [label="G 1 \\"x\\\\\\"] --> y; <b>\\\\\\\\\\" [task]"];' in graph.dot()
    dot = shutil.which("dot")
    if dot is not None:
        subprocess.run([dot, "-Tsvg"], input=graph.dot(), text=True, check=True, capture_output=True, timeout=30)
