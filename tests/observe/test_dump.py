"""preemptio.dump: every task, wherever it stands and from wherever it is asked."""

import asyncio
import io
import threading
from collections import Counter

import pytest

import preemptio
from preemptio._core._gstatus import RUNNING, cas_gstatus
from preemptio._observe._dump import text_of
from preemptio._observe._snapshot import Seen, Snapshot, from_outside
from preemptio._observe._text import duration, quoted
from preemptio.lowlevel import current_g
from tests.behaviour._support import Flag, parked, spin, turns, waiting

pytestmark = pytest.mark.asyncio


def about(text, name):
    """Return the paragraph about a task."""
    (found,) = [each for each in text.split("\n\n") if f'"{name}"' in each.partition("\n")[0]]
    return found


def heads(text):
    """Return the first lines of the paragraphs: source lines say anything."""
    return [each.partition("\n")[0] for each in text.split("\n\n")]


class Turning(Flag):
    """A flag that says whether the computation has begun."""

    turns = 0

    def spin(self):
        while not self.stop:
            self.turns += 1

    def dumped(self, loop):
        """Return a thread that asks for a dump once the computation has begun, then ends it; and where it leaves it."""
        found = []

        def ask():
            while not self.turns:
                pass
            found.append(preemptio.dump(loop=loop, timeout=0.01))
            self.stop = True

        return threading.Thread(target=ask), found


async def waits(event):
    await event.wait()


async def outer(event):
    await waits(event)


async def cancelled(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.uninjected("what is said of a task that was never stopped")
async def test_a_task_that_waits():
    """Its state, its frames outermost first with file, line and source, what it waits for, and where it was created."""
    event = asyncio.Event()
    task = asyncio.create_task(outer(event), name="ingest")
    await turns(2)
    lines = about(preemptio.dump(), "ingest").splitlines()
    assert lines[0] == f'G {task.g.id} "ingest" [asyncio.Event]:'
    assert [line.rpartition(" in ")[2] for line in lines[1:3]] == [
        "outer: await waits(event)",
        "waits: await event.wait()",
    ]
    assert lines[1].startswith(f"    {__file__}:")
    assert "Event.wait" in lines[3]
    assert lines[4] == "  waits for asyncio.Event 1 (not set)"
    assert lines[5].startswith("  created by test_a_task_that_waits at ")
    await cancelled(task)


async def test_who_asks_is_first():
    """It runs, down to the line that asks; what preemptio does on top is not shown, nor a tick that came meanwhile."""
    loop = asyncio.get_running_loop()
    with preemptio.nopreempt("until a tick has asked"):
        while not loop._p.curg.preempt:  # as a tick leaves it that comes while it looks
            pass
        text = preemptio.dump()
    first = text.split("\n\n")[2].splitlines()
    assert first[0].endswith('[running, nopreempt "until a tick has asked"]:')
    (last,) = [n for n, line in enumerate(first) if "in test_who_asks_is_first: text = preemptio.dump()" in line]
    assert not first[last + 1].startswith("    ")


async def test_a_preempted_task():
    """Is shown down to the line at which it was stopped, with how often it was."""
    with Flag() as flag:
        task = preemptio.go(spin, flag, name="hog")
        await parked(task)
        found = about(preemptio.dump(), "hog")
    assert "[runnable, preempted]" in found
    assert "in spin: " in found
    assert "  preempted (" in found
    await task


async def test_what_is_unusual():
    """Niceness, the background class, a region that is not preempted, a suspended task."""
    event = asyncio.Event()

    async def masked():
        with preemptio.nopreempt("change"):
            await event.wait()

    tasks = [
        preemptio.go(masked, name="masked"),
        preemptio.go(waits, event, name="nice", nice=5),
        preemptio.go(waits, event, name="background", background=True),
    ]
    while any(str(task.g.status) != "waiting" for task in tasks):
        await asyncio.sleep(0.001)  # not `waiting`: the background task runs when nobody else wants to
    async with preemptio.suspended(tasks[0]):
        text = preemptio.dump()
    assert '[asyncio.Event (scan), nopreempt "change", suspended]' in about(text, "masked")
    assert "[asyncio.Event, nice 5]" in about(text, "nice")
    assert "[asyncio.Event, background]" in about(text, "background")
    assert "preemptio looks" not in text
    await cancelled(*tasks)


async def test_tasks_that_stand_alike_are_one_paragraph():
    """With their number, unless somebody wants them one by one; those that stand elsewhere are apart."""
    event = asyncio.Event()
    tasks = [asyncio.create_task(outer(event), name=f"worker-{n}") for n in range(50)]
    other = asyncio.create_task(waits(event), name="other")
    await waiting(*tasks, other)
    text, single = preemptio.dump(), preemptio.dump(group=False)
    low, high = tasks[0].g.id, tasks[-1].g.id
    assert f'50 tasks G {low}-{high} "worker-0", "worker-1", "worker-2", ... [asyncio.Event]:' in text
    assert about(text, "other").startswith(f"G {other.g.id} ")
    assert about(single, "worker-33").startswith(f"G {tasks[33].g.id} ")
    await cancelled(*tasks, other)


async def test_names_stay_on_their_line():
    """Whatever is in them."""
    task = asyncio.create_task(asyncio.sleep(60), name='a\nG 99 "b" [running]:\x1b[31m' + "x" * 1000)
    await turns(2)
    (head,) = [each for each in heads(preemptio.dump()) if each.startswith(f"G {task.g.id} ")]
    assert head.startswith(f'G {task.g.id} "a\\nG 99 \\"b\\" [running]:\\x1b[31mx')
    assert len(head) < 120
    await cancelled(task)


async def test_a_task_that_cannot_be_read():
    """Does not keep the others from being shown."""

    class Hostile(preemptio.Task):
        def get_name(self):
            raise ValueError("name")

        def __repr__(self):
            raise ValueError("repr")

    loop = asyncio.get_running_loop()
    hostile = Hostile(asyncio.sleep(60), loop=loop)
    good = asyncio.create_task(asyncio.sleep(60), name="good")
    await turns(2)
    text = preemptio.dump()
    assert f'G {hostile.g.id} "" [cannot be read: ValueError]:' in text
    assert "[sleep]" in about(text, "good")
    str(preemptio.waits())
    await cancelled(hostile, good)


async def test_a_task_of_a_foreign_class():
    """Is no G; it has its place, its frames and what it waits for all the same."""
    event = asyncio.Event()
    task = asyncio.tasks._PyTask(outer(event), loop=asyncio.get_running_loop(), name="foreign")
    await turns(3)
    found = about(preemptio.dump(), "foreign")
    assert found.startswith('task 1 "foreign" [asyncio.tasks.Task, no G]:')
    assert "in outer: await waits(event)" in found
    assert "waits for asyncio.Event 1" in found
    await cancelled(task)


async def test_finished_tasks_are_not_shown():
    """They wait for nothing any more."""
    task = asyncio.create_task(asyncio.sleep(0), name="over")
    await task
    assert not [head for head in heads(preemptio.dump()) if "over" in head]


async def test_where_it_is_written():
    """To a file, and it is returned as well."""
    file = io.StringIO()
    text = preemptio.dump(file)
    assert file.getvalue() == text + "\n"


async def test_in_a_callback():
    """No task runs there."""
    found = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: found.set_result(preemptio.dump()))
    assert not [head for head in heads(await found) if "[running]" in head]


async def test_from_another_thread():
    """The loop answers, at one moment, and is read from outside where it does not."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    task = asyncio.create_task(outer(event), name="ingest")
    await waiting(task)
    text = await asyncio.to_thread(preemptio.dump)
    assert "read from outside" not in text
    assert "waits for asyncio.Event 1" in about(text, "ingest")
    text = await asyncio.to_thread(preemptio.dump, loop=loop, timeout=0)
    assert "read from outside" in text
    assert "in outer: await waits(event)" in about(text, "ingest")
    assert "waits for asyncio.Event 1" in about(text, "ingest")
    await cancelled(task)


async def test_while_a_hog_cannot_be_stopped():
    """Another thread sees where it is, and where the others wait."""
    event, flag = asyncio.Event(), Turning()
    task = asyncio.create_task(outer(event), name="waiting")
    await waiting(task)
    thread, found = flag.dumped(asyncio.get_running_loop())

    def stubborn():
        with preemptio.nopreempt("no"):
            thread.start()
            flag.spin()

    await preemptio.go(stubborn, name="hog")
    thread.join()
    assert "the loop did not answer within 0.01 s" in found[0]
    assert "[running" in about(found[0], "hog").partition("\n")[0]
    assert "in Turning.spin: " in about(found[0], "hog")
    assert "in outer: await waits(event)" in about(found[0], "waiting")
    await cancelled(task)


async def test_while_a_callback_has_the_thread():
    """No task runs, so the thread itself is shown."""
    flag = Turning()
    thread, found = flag.dumped(asyncio.get_running_loop())

    def in_a_callback():
        thread.start()
        flag.spin()

    asyncio.get_running_loop().call_soon(in_a_callback)
    await turns(2)
    thread.join()
    assert "the loop's thread, in a callback:" in found[0]
    assert "in Turning.spin: " in found[0]


async def test_what_an_internal_error_says():
    """The G that it is about, and then all of its loop; and the error is what it was."""
    task = asyncio.create_task(asyncio.sleep(60), name="bystander")
    await turns(2)
    with pytest.raises(preemptio.InternalError, match="illegal transition") as caught:
        cas_gstatus(current_g(), RUNNING, RUNNING)
    assert caught.value.dump.startswith(f"G {current_g().id} ")
    assert "an internal error: read from outside" in caught.value.dump
    assert "[sleep]" in about(caught.value.dump, "bystander")
    assert (
        str(caught.value)
        == f"{caught.value.message}\nThis is a bug in preemptio, "
        + str(caught.value).partition("This is a bug in preemptio, ")[2]
    )
    await cancelled(task)


async def test_misuse_says_what_to_type():
    """A loop without the runtime."""
    plain = asyncio.SelectorEventLoop()
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.install\(loop\)"):
        preemptio.dump(loop=plain)
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.install\(loop\)"):
        preemptio.waits(loop=plain)
    plain.close()


async def test_a_loop_that_does_not_run(make_loop):
    """Or that was closed with tasks left."""
    loop = make_loop()
    task = loop.create_task(asyncio.sleep(60), name="never")
    text = preemptio.dump(loop=loop)
    assert "not running; 1 task: 1 runnable" in text
    assert "[runnable]" in about(text, "never")
    loop.close()
    assert "closed; 1 task" in preemptio.dump(loop=loop)
    task._log_destroy_pending = False
    task.get_coro().close()


async def test_it_keeps_nothing_alive():
    """A snapshot is text."""
    seen = from_outside(asyncio.get_running_loop(), "test")
    assert all(isinstance(task.awaits, str) for task in seen.tasks)
    assert "test: read from outside" in text_of([seen])


async def test_times():
    """In the unit that says enough; of several the longest."""
    assert [duration(s) for s in (0.5, 1, 59, 60, 185, 7200, 200_000)] == [
        "",
        "1 second",
        "59 seconds",
        "1 minute",
        "3 minutes",
        "2 hours",
        "2 days",
    ]
    tasks = tuple(Seen(f"G {n}", "t", "sleep", age, counts=Counter()) for n, age in ((1, 65), (2, 190)))
    text = text_of([Snapshot(("head",), tasks, (), {})])
    assert '2 tasks G 1-2 "t", "t" [sleep, up to 3 minutes]:' in text
    assert quoted("grün") == '"grün"'
