"""Straight-line code is atomic: a task is stopped at a function's entry or a loop's back edge only."""

import asyncio

import pytest

import preemptio
from tests.behaviour._support import preempted, rounds

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


class Account:
    def __init__(self):
        self.a = 1000
        self.b = 0
        self.busy = False
        self.log = []


async def run_two(fn, account):
    """Run `fn` in two tasks at a time until both were preempted often; return how many times."""
    times, counts = 0, [0, 0]
    while min(counts) < 5:
        tasks = [preemptio.go(fn, account, n) for n in (0, 1)]
        await asyncio.gather(*tasks)
        counts = [count + preempted(task) for count, task in zip(counts, tasks, strict=True)]
        times += 1
    return times


async def test_read_modify_write():
    """An addition to shared state that is read and written in two statements loses nothing."""
    times_each = rounds(1_000_000)

    def add(account, _me):
        for _ in range(times_each):
            value = account.b
            value = value + 1
            account.b = value

    account = Account()
    times = await run_two(add, account)
    assert account.b == 2 * times_each * times


async def test_check_then_act():
    """Between a check and the act that depends on it nobody else gets in; no transfer is torn."""

    def transfer(account, me):
        for n in range(rounds(600_000)):
            if account.busy:
                raise AssertionError("somebody is inside")
            account.busy = True
            if (n + me) % 2 and account.a > 0:
                account.a -= 1
                account.b += 1
            elif account.b > 0:
                account.b -= 1
                account.a += 1
            if account.a + account.b != 1000:
                raise AssertionError("torn")
            account.busy = False

    account = Account()
    await run_two(transfer, account)
    assert account.a + account.b == 1000


async def test_calls_of_c_functions_are_straight_line():
    """Calls of built-in functions between check and act do not open a gap either."""

    def take(account, me):
        for _ in range(rounds(120_000)):
            length = len(account.log)
            account.log.append(me)
            if account.log.pop() != me or len(account.log) != length:
                raise AssertionError("torn")
            account.log.extend(sorted([me, me]))
            del account.log[-2:]
            if "".join(map(str, [me])) != str(me) or len(account.log) != length:
                raise AssertionError("torn")

    account = Account()
    await run_two(take, account)
    assert account.log == []
