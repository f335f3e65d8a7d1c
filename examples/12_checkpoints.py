"""Saying it yourself: checkpoint(), nopreempt() and charge().

    python examples/12_checkpoints.py

1. checkpoint() gives way where you say so, and only if the slice is used up. It needs no tick, so it works in loops
   of other threads too. Here the tick is switched off: the checkpoint does it all.
2. nopreempt() keeps a change of several calls in one piece. The auditor counts how often it saw money in flight.
3. charge() counts work that no tick can cut, such as long C calls, and gives way when a slice's worth is counted.
"""

import asyncio
import contextlib
import hashlib

import preemptio


async def beats(seen):
    """Beat as often as the loop lets us."""
    while True:
        await asyncio.sleep(0.002)
        seen.append(1)


def mandelbrot(size, polite):
    """Count the points of a raster that stay inside."""
    inside = 0
    for row in range(size):
        for column in range(size):
            c, z = complex(3 * column / size - 2.2, 2.4 * row / size - 1.2), 0j
            inside += all(abs(z := z * z + c) < 2 for _ in range(40))
        if polite:
            preemptio.checkpoint()
    return inside


async def with_checkpoints():
    """Compare the loop's life beside the same function without and with its checkpoint."""
    for polite in (False, True):
        seen = []
        heart = asyncio.create_task(beats(seen))
        await asyncio.sleep(0)
        inside = mandelbrot(90, polite)
        heart.cancel()
        print(f"checkpoint {'on ' if polite else 'off'}: {inside} points inside, heart beats {len(seen) > 0}")


def parse(amount):
    """Turn text into an amount: a function entry, where a task may be preempted."""
    return sum(int(digit) * 10**i for i, digit in enumerate(reversed(amount)))


async def transfers(account, region, done):
    """Move money to and fro. It is in neither account between the two lines."""
    for i in range(6000):
        source, target = ("a", "b") if i % 2 else ("b", "a")
        with region:
            account[source] -= parse("00042")
            account[target] += parse("00042")
        preemptio.checkpoint()  # here a request that came in the region is taken
    done.set()


async def with_mask():
    """Audit the accounts while they are written."""
    for label, region in (("off", contextlib.nullcontext()), ("on ", preemptio.nopreempt("transfer"))):
        account, done, audits, wrong = {"a": 1000, "b": 1000}, asyncio.Event(), 0, 0
        task = asyncio.create_task(transfers(account, region, done))
        while not done.is_set():
            await asyncio.sleep(0)
            audits += 1
            wrong += sum(account.values()) != 2000
        await task
        print(f"nopreempt {label}: {audits} audits, {wrong} saw money in flight")


async def digest(name, blocks):
    """Hash eight blocks; each is one C call."""
    for _ in range(8):
        hashlib.sha256(bytes(200_000)).digest()
        blocks.append(name)
        preemptio.charge(250)  # a quarter of a slice: after four blocks it is the other's turn


async def with_charge():
    """Let two tasks take turns by the work they did, not by the clock."""
    blocks = []
    await asyncio.gather(digest("x", blocks), digest("y", blocks))
    print("charge:", "".join(blocks))


if __name__ == "__main__":
    with preemptio.config.override(source="none", slice=0.005):
        preemptio.run(with_checkpoints())
    with preemptio.config.override(slice=0.001):
        preemptio.run(with_mask())
    with preemptio.config.override(source="none", slice=1.0):
        preemptio.run(with_charge())
