"""scan.retained(): what a task alone keeps alive, what it shares, by which variables; and how sizes are measured."""

import asyncio
import ctypes
import gc
import importlib.util
import io
import subprocess
import sys
import types
import weakref
from mmap import mmap

import pytest

import preemptio
from preemptio import scan
from preemptio._scan._sizes import sizer_of

pytestmark = pytest.mark.loop

MEGABYTE = 1_000_000
PUBLIC = []


@pytest.fixture
def run():
    return lambda main: preemptio.run(main, loop_factory=lambda: preemptio.new_event_loop(asyncio.SelectorEventLoop))


async def sleeper(_thing=None):
    await asyncio.sleep(3600)


async def owner(size):
    rows = [bytearray(1000) for _ in range(size // 1000)]
    few = bytearray(1000)
    await asyncio.sleep(3600)
    del rows, few


async def started(*coros):
    tasks = [asyncio.create_task(coro) for coro in coros]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_what_a_task_owns_is_its_own(run):
    """To the object and nearly to the byte; its variables are named, the largest first."""

    async def main():
        task, other = await started(owner(MEGABYTE), sleeper())
        report = await scan.retained()
        return report.of(task), report.of(other.g)

    found, other = run(main())
    assert 1_000 <= found.objects < 1_100
    assert 1.05 * MEGABYTE < found.size < 1.1 * MEGABYTE
    assert other.size < 10_000
    assert found.roots[0].name.startswith("rows (")
    assert __file__ in found.roots[0].name
    assert found.roots[0].size > MEGABYTE > 100 * found.roots[1].size
    assert f"{found.size:,} bytes" in str(found)


def test_what_two_share_is_neithers_own(run):
    """Each is told with whom, and how much."""

    async def main():
        shared = [bytearray(1000) for _ in range(1000)]
        tasks = await started(sleeper(shared), sleeper([shared]), sleeper())
        del shared
        report = await scan.retained()
        return tasks, [report.of(task) for task in tasks]

    tasks, (first, second, third) = run(main())
    assert first.size < 10_000
    assert MEGABYTE < first.shared_size == second.shared_size
    assert first.shared_with[0] == (tasks[1].g, first.shared_size)
    assert third.shared_size < 10_000


def test_what_many_share_is_common(run):
    """Beyond four nobody is named."""

    async def main():
        shared = [bytearray(1000) for _ in range(1000)]
        await asyncio.sleep(0)
        tasks = await started(*[sleeper(shared) for _ in range(6)])
        del shared
        report = await scan.retained()
        return report, [report.of(task) for task in tasks]

    report, each = run(main())
    assert report.common_size > MEGABYTE
    assert all(found.size + found.shared_size < 10_000 for found in each)


def test_what_a_global_refers_to_is_the_programs(run):
    """No task is told that it keeps it alive: that would free nothing."""

    async def main():
        PUBLIC.append([bytearray(1000) for _ in range(1000)])
        (task,) = await started(sleeper(PUBLIC[0]))
        return (await scan.retained()).of(task), task

    try:
        assert run(main())[0].size < 10_000
    finally:
        PUBLIC.clear()


def test_a_list_of_tasks_does_not_own_what_they_own(run):
    """What a task refers to is its own although others refer to the task."""

    async def main():
        tasks = await started(owner(MEGABYTE))
        report = await scan.retained()
        return report.of(tasks[0]).size, report.of(asyncio.current_task()).size

    theirs, mine = run(main())
    assert theirs > MEGABYTE > 10 * mine


def test_a_function_that_waits_owns_its_variables(run):
    """They are in frames off the carrier, which no garbage collector sees."""

    def wait():
        rows = [bytearray(1000) for _ in range(1000)]
        preemptio.wait(asyncio.sleep(3600))
        del rows

    async def main():
        task = preemptio.go(wait)
        await asyncio.sleep(0.001)
        return (await scan.retained()).of(task)

    assert run(main()).size > MEGABYTE


def test_what_is_made_during_the_scan_is_seen(run):
    """A G that ran since its roots were taken is looked at again, and so is one that was born."""

    async def main():
        born = []

        async def grows():
            rows = []
            for _ in range(1000):
                rows.append(bytearray(1000))
                await asyncio.sleep(0)
            born.append(asyncio.create_task(owner(MEGABYTE)))
            await asyncio.sleep(3600)

        (task,) = await started(grows())
        report = await scan.retained()
        return report.of(task), [report.of(each) for each in born]

    grown, born = run(main())
    assert grown.size > MEGABYTE
    assert all(each.size > MEGABYTE for each in born)


def test_nothing_is_kept_by_the_report(run):
    """What a task held is free when the task is gone."""

    class Big:
        pass

    async def main():
        big = Big()
        known = weakref.ref(big)
        (task,) = await started(sleeper(big))
        del big
        report = await scan.retained()
        path = await scan.path_to(known())
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        return report, path, known()

    report, path, left = run(main())
    assert report
    assert path
    assert left is None


def test_scans_wait_for_one_another(run):
    """One at a time, whatever they look for."""

    async def main():
        (task,) = await started(asyncio.Event().wait())
        return await asyncio.gather(scan.retained(), scan.leaks(), scan.leaks(background=False)), task

    (report, leaks, again), task = run(main())
    assert leaks[0].g is again[0].g is task.g
    assert report.of(task)


def test_a_scan_can_be_cancelled(run):
    """Nobody stays held, and the next scan works."""

    async def main():
        task, planted = await started(sleeper(), asyncio.Event().wait())
        try:
            async with asyncio.timeout(0.005):
                await scan.retained()
        except TimeoutError:
            pass
        assert not task.g.suspended
        return await scan.leaks(), task, planted

    leaks, _, planted = run(main())
    assert [leak.g for leak in leaks] == [planted.g]


def test_outside_of_preemptio_it_says_so():
    """Not an endless wait."""
    for each in (scan.leaks, scan.retained, lambda: scan.path_to([])):
        with pytest.raises(preemptio.NotAGError, match=r"preemptio\.run"):
            asyncio.run(each())


# -- sizes --


def test_a_registered_size_is_used_for_subclasses_too():
    """The nearest registered base counts; what it raises is nothing."""

    class Image:
        pixels = 5

    class Photo(Image):
        pass

    scan.register_size(Image, lambda image: image.pixels)
    assert sizer_of(Photo)(Photo()) == 5
    scan.register_size(Photo, lambda photo: photo.missing)
    assert sizer_of(Photo)(Photo()) == 0
    assert sizer_of(Image)(Image()) == 5


def test_registering_nonsense_is_refused():
    """At once, where the mistake is."""
    with pytest.raises(TypeError, match="class"):
        scan.register_size("Image", len)
    with pytest.raises(TypeError, match="function"):
        scan.register_size(int, 5)


def test_a_size_written_in_python_is_not_asked():
    """Pandas counts there what its columns refer to, which the walk comes to anyway."""

    class Frame:
        def __sizeof__(self):
            raise AssertionError

    assert 0 < sizer_of(Frame)(Frame()) < 1_000


def test_what_is_mapped_counts():
    """The object is small, the mapping is not."""
    with mmap(-1, MEGABYTE) as mapping:
        assert sizer_of(mmap)(mapping) > MEGABYTE
    assert sizer_of(bytearray)(bytearray(MEGABYTE)) > MEGABYTE


def test_what_is_mapped_and_closed_is_empty():
    """It has no length any more."""
    with mmap(-1, MEGABYTE) as mapping:
        pass
    assert 0 < sizer_of(mmap)(mapping) < 1_000


def test_ctypes_memory_counts_where_it_is():
    """An array's and a structure's own does; what shows another's does not, nor what is at an address."""
    kind = ctypes.c_char * MEGABYTE
    own, backing = kind(), bytearray(MEGABYTE)

    class Record(ctypes.Structure):
        _fields_ = (("head", ctypes.c_int), ("body", kind))

    record = Record()
    for thing in (own, record, ctypes.create_string_buffer(MEGABYTE)):
        assert MEGABYTE < sizer_of(type(thing))(thing) < MEGABYTE + 1_000
    for thing in (
        kind.from_buffer(backing),
        kind.from_address(ctypes.addressof(own)),
        ctypes.c_int(1),
        (kind * 1)()[0],
    ):
        assert 0 < sizer_of(type(thing))(thing) < 1_000


def test_a_bytes_io_counts_once(make_loop):
    """Its bytes are seen by the walk or by itself, not by both."""

    async def holds():
        buffer = io.BytesIO()
        buffer.write(bytes(MEGABYTE))
        await asyncio.sleep(60)
        return buffer

    async def main():
        task = asyncio.create_task(holds())
        await asyncio.sleep(0)
        found = (await scan.retained()).of(task)
        task.cancel()
        return found

    assert MEGABYTE < preemptio.run(main(), loop_factory=make_loop).size < 1.5 * MEGABYTE


def test_the_first_size_that_is_written_in_c_counts():
    """Of a subclass that has one in Python as well."""

    class Buffer(bytearray):
        def __sizeof__(self):
            raise AssertionError

    assert MEGABYTE < sizer_of(Buffer)(Buffer(MEGABYTE)) < MEGABYTE + 1_000


NUMPY_AND_PANDAS = """
import numpy, pandas
from preemptio._scan._sizes import sizer_of

class Hostile(numpy.ndarray):
    def __getattribute__(self, name):
        raise AssertionError

    def __sizeof__(self):
        raise AssertionError

array = numpy.zeros(1_000_000, numpy.uint8)
for thing in (array, array[1:], array.view(Hostile)):
    assert 999_999 < sizer_of(type(thing))(thing) < 1_001_000, type(thing)
frame = pandas.DataFrame({"a": array})
for thing in (frame, frame["a"], frame.index):
    assert 0 < sizer_of(type(thing))(thing) < 1_000, type(thing)
"""


@pytest.mark.skipif(not importlib.util.find_spec("pandas"), reason="pandas is not installed")
def test_numpy_and_pandas():
    """By name among the imported modules. A view counts in full, a frame what it has beside its columns."""
    subprocess.run([sys.executable, "-c", NUMPY_AND_PANDAS], check=True, timeout=120)


def test_torch_by_its_name(monkeypatch):
    """It is never imported. A subclass with code of its own is not asked."""

    class Tensor:
        is_cuda = False

        def untyped_storage(self):
            return types.SimpleNamespace(nbytes=lambda: MEGABYTE)

    class Touchy(Tensor):
        def __torch_function__(self):
            raise AssertionError

    assert sizer_of(Tensor)(Tensor()) < 1_000
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(Tensor=Tensor))
    assert sizer_of(Tensor)(Tensor()) > MEGABYTE
    assert 0 < sizer_of(Touchy)(Touchy()) < 1_000
