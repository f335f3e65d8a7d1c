"""The live frames of a G, and how much of their evaluation stacks may be read."""

import ast
import asyncio
import contextlib
import email.message
import json.decoder
import opcode
import sys
import types
from pathlib import Path

import pytest

import preemptio
from preemptio import lowlevel
from preemptio._aio._roots import shared_roots
from preemptio._core._reasons import SafePointKind
from preemptio._preempt import _iframe
from preemptio._preempt._blocks import instructions, ranges
from preemptio._scan._depths import Depths, live
from preemptio._scan._frames import greenlet_values, look

MODULES = [asyncio.tasks, asyncio.streams, contextlib, email.message, json.decoder, ast, types]
ENDS = {"RETURN_VALUE", "RETURN_CONST", "RERAISE", "RAISE_VARARGS", "JUMP_FORWARD", "JUMP_BACKWARD"}
ENDS |= {"JUMP_BACKWARD_NO_INTERRUPT"}


def codes(code):
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from codes(each)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_way_to_an_instruction_finds_one_depth(module):
    """Within the size of the stack, and never less than the exception table promises."""
    path = Path(module.__file__)
    for code in codes(compile(path.read_text("utf-8"), path, "exec")):
        depths = Depths(code)
        for each in instructions(code.co_code):
            depth = depths.before(each.offset)
            if depth is None:
                continue
            assert 0 <= depth <= code.co_stacksize
            name, given = opcode.opname[each.op], each.arg if each.op >= opcode.HAVE_ARGUMENT else None
            if name not in ENDS:
                effect = opcode.stack_effect(each.op, given, jump=False)
                after = 1 if name == "RETURN_GENERATOR" else depth + effect
                assert depths.before(each.after) == after, (code, each)
            if each.op in opcode.hasjrel:
                target = each.after + (-2 if "BACKWARD" in name else 2) * each.arg
                assert depths.before(target) == depth + opcode.stack_effect(each.op, given, jump=True), (code, each)
        for protected in ranges(code.co_exceptiontable):
            found = [depths.before(offset) for offset in range(protected.start, protected.end, 2)]
            assert all(depth >= protected.depth for depth in found if depth is not None)


def test_the_count_agrees_with_what_the_interpreter_notes():
    """In frames that have called another Python function it is exact; computed, it is not more."""
    seen = []

    def here():
        frame = sys._getframe(1)
        noted = _iframe.top(frame) - live(frame, None)[0]
        computed, _ = Depths(frame.f_code).at(frame.f_lasti, None)
        seen.append((noted, computed))
        return 1

    def caller():
        f = lambda *_: 0  # noqa: E731
        for _ in (1,):
            with contextlib.nullcontext():
                f(1, here(), f(2, 3, here()))
                [1, 2, here()]
                try:
                    raise KeyError
                except KeyError:
                    f(here())
                finally:
                    here()

    for _ in range(20):
        caller()
    assert len(seen) == 100
    assert all(0 <= computed <= noted for noted, computed in seen)
    assert {noted - computed for noted, computed in seen} == {0}


def test_what_a_loop_iterates_over_is_live_at_its_back_edge():
    """The depth there counts the iterator, and at the entry nothing."""

    def loop(things):
        for _ in things:
            pass

    depths = Depths(loop.__code__)
    back = [each.offset for each in instructions(loop.__code__.co_code) if opcode.opname[each.op] == "JUMP_BACKWARD"]
    assert [depths.at(offset, None) for offset in back] == [(1, True)]
    entry = loop.__code__.co_code[::2].index(opcode.opmap["RESUME"]) * 2
    assert depths.at(entry, None) == (0, True)


def names(g):
    return [each.frame.f_code.co_name for each in look(g).frames]


async def parked(task):
    while not task.g.parked:
        await asyncio.sleep(0)


@pytest.mark.loop
@pytest.mark.asyncio
class TestLook:
    """look: the frames of a G, outermost first."""

    async def test_awaits(self):
        """Coroutines, generators and asynchronous generators; the runtime's are not there, asyncio's are."""
        event = asyncio.Event()

        async def generate():
            yield await event.wait()

        async def outer():
            async for _ in generate():
                pass

        task = preemptio.go(outer)
        async with preemptio.suspended(task):
            assert names(task.g) == ["outer"]
        await asyncio.sleep(0)
        async with preemptio.suspended(task):
            assert names(task.g) == ["outer", "generate", "wait"]
            sight = look(task.g)
            assert {each.kind for each in sight.frames} == {SafePointKind.BLOCKED}
            assert sight.precise
            del sight
        event.set()
        await task

    async def test_a_step_that_was_stopped_by_the_tick(self):
        """From the coroutine to the interrupted frame: what the runtime has below it and above is cut off."""
        over = []

        def spin():
            for _ in range(50_000_000):
                if over:
                    break

        async def outer():
            await inner()

        async def inner():
            [spin() for _ in (1,)]

        task = preemptio.go(outer)
        await parked(task)
        async with preemptio.suspended(task):
            found = [name for name in names(task.g) if name != "<listcomp>"]
            assert found == ["outer", "inner", "spin"]
            assert {each.kind for each in look(task.g).frames} == {SafePointKind.ASYNC}
            assert look(task.g).frames[-1].precise
        over.append(1)
        await task

    async def test_wait(self):
        """The frames of the plain function, then what it waits for."""
        event = asyncio.Event()
        task = preemptio.go(lambda: preemptio.wait(event.wait()))
        await parked(task)
        async with preemptio.suspended(task):
            assert names(task.g) == ["_call", "<lambda>", "wait"]
            kinds = [each.kind for each in look(task.g).frames]
            assert kinds == [SafePointKind.SYNC, SafePointKind.SYNC, SafePointKind.BLOCKED]
        event.set()
        await task

    async def test_a_greenlet_stands_behind_the_frame_that_switched_to_it(self):
        """And before what that awaits on its behalf."""
        greenlet = pytest.importorskip("greenlet")
        event = asyncio.Event()

        def plain():
            greenlet.getcurrent().parent.switch(event.wait())

        async def spawn():
            child = greenlet.greenlet(plain)
            await child.switch()
            child.switch()

        task = preemptio.go(spawn)
        await asyncio.sleep(0)
        async with preemptio.suspended(task):
            assert names(task.g) == ["spawn", "plain", "wait"]
            (child,) = [each for each in look(task.g).links if type(each) is greenlet.greenlet]
            assert event in list(greenlet_values(child))
            del child
        event.set()
        await task

    async def test_other_greenlets_are_none_of_it(self):
        """A frame may refer to the loop's own, or to one that has not begun or is over."""
        greenlet = pytest.importorskip("greenlet")
        event = asyncio.Event()

        async def spawn():
            found = [greenlet.getcurrent(), greenlet.getcurrent().parent, greenlet.greenlet(print)]
            over = greenlet.greenlet(lambda: None)
            over.switch()
            one, two, three = found
            await event.wait()
            del one, two, three

        task = preemptio.go(spawn)
        await asyncio.sleep(0)
        async with preemptio.suspended(task):
            assert names(task.g) == ["spawn", "wait"]
        event.set()
        await task

    async def test_an_awaitable_written_by_hand(self):
        """It is looked through if it refers to one coroutine; a future's task is not its own stack."""

        class Awaitable:
            def __init__(self, coro):
                self.coro = coro

            def __await__(self):
                return self

            def __next__(self):
                return self.coro.send(None)

            __iter__ = __await__

        async def outer(thing):
            await thing

        event = asyncio.Event()
        task = preemptio.go(outer(Awaitable(event.wait())))
        other = preemptio.go(outer(task))
        await asyncio.sleep(0)
        async with preemptio.suspended(task), preemptio.suspended(other):
            assert names(task.g) == ["outer", "wait"]
            assert [each.precise for each in look(task.g).frames] == [False, True]
            assert names(other.g) == ["outer"]
            assert look(other.g).awaits is not None
        event.set()
        await asyncio.gather(task, other)

    async def test_ones_own(self):
        """Up to the caller of look."""
        me = lowlevel.current_g()
        assert names(me)[-2:] == ["test_ones_own", "names"]

    async def test_reading_leaves_nothing_in_the_frames(self):
        """No dictionary of variables, as f_locals would on 3.11 and 3.12."""
        event = asyncio.Event()
        task = preemptio.go(event.wait)
        await asyncio.sleep(0)
        async with preemptio.suspended(task):
            for each in look(task.g).frames:
                assert _iframe.namespace(each.frame) is None
        event.set()
        await task


@pytest.mark.loop
def test_who_runs_the_loop(make_loop):
    """The variables of the function that called run() are roots of everybody."""
    held = object()

    async def main():
        return [root.name for root in shared_roots(asyncio.get_running_loop()) if root.obj is held]

    with asyncio.Runner(loop_factory=make_loop) as runner:
        names = runner.run(main())
    assert [name for name in names if name.startswith("held (")], names
