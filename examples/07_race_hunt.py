"""A race that the clock hardly ever meets: found by a seed, found again by the same seed, and gone.

    python examples/07_race_hunt.py

A shop: customers' orders are checked against the stock, confirmed by a letter (string, textwrap: pure Python), and
booked. No await in it, so on stock asyncio it is right. But between the check and the booking there is a call, and a
call is where others may run. PREEMPTIO_DEBUG=preemptrandom=SEED:SHARE takes the CPU at a share of all places where that
may happen, drawn by a seed; here the same by a setting, for one shop after the other. What it finds is broken; what it
does not find need not be right: it stops the code that runs, and sees what the checks of the program see.
"""

import asyncio
import string
import textwrap

import preemptio

STOCK = {"apples": 9, "pears": 9, "plums": 9}
LETTER = string.Template("Dear $customer, you have ordered $count $item, which we send to you at once. Yours, the shop")


def letter(customer, item, count):
    """Return the confirmation: ordinary code, whose functions and loops are safe points."""
    return textwrap.fill(LETTER.substitute(customer=customer, item=item, count=count), width=40)


class Shop:
    """Sells what it has. The bug: what was checked may be sold to somebody else by the time it is booked."""

    def __init__(self):
        self.left = dict(STOCK)
        self.letters = []

    def order(self, customer, item, count):
        """Sell, if there is enough."""
        if self.left[item] >= count:
            self.letters.append(letter(customer, item, count))  # a call between the question and the act
            self.left[item] -= count


class FixedShop(Shop):
    """Books first. Between the question and the act is no call and no loop: nobody runs there, that is guaranteed."""

    def order(self, customer, item, count):
        """Sell, if there is enough; where more has to stay in one piece, `with preemptio.nopreempt("why")` says so."""
        if self.left[item] >= count:
            self.left[item] -= count
            try:
                self.letters.append(letter(customer, item, count))
            except BaseException:
                self.left[item] += count
                raise


async def customer(shop, name):
    """Order some of everything until nothing can be left."""
    for _ in range(max(STOCK.values())):
        for item in STOCK:
            shop.order(name, item, 1)
        await asyncio.sleep(0)


async def day(kind):
    """Open a shop to four customers; return what it has sold and did not have."""
    shop = kind()
    await asyncio.gather(*(customer(shop, name) for name in ("Ann", "Bob", "Cid", "Dot")))
    return {item: -left for item, left in shop.left.items() if left < 0}


def hunt(kind, debug):
    """Run a day under fault injection. The slice is long, so that nothing but the draw takes the CPU."""
    with preemptio.config.override(debug=debug, slice=1.0):
        return preemptio.run(day(kind))


def main():
    """Hunt, and say what was found."""
    days = [preemptio.run(day(Shop)) for _ in range(20)]
    print(f"by the clock, on {len(days)} days: {sum(map(bool, days))} oversold")
    seeds = [f"preemptrandom={seed}:0.0003" for seed in range(20)]
    found = {debug: oversold for debug in seeds if (oversold := hunt(Shop, debug))}
    for debug, oversold in found.items():
        print(f"oversold with PREEMPTIO_DEBUG={debug}: {oversold}")
    print("found by some seeds and not by others:", 0 < len(found) < len(seeds))
    first = next(iter(found))
    print("the same again with the first of them:", [hunt(Shop, first) for _ in range(3)] == [found[first]] * 3)
    print("the fixed shop, with all of them:", sum(bool(hunt(FixedShop, debug)) for debug in seeds), "oversold")
    print("the fixed shop, at every safe point:", hunt(FixedShop, "preemptall=1") or "nothing oversold")


if __name__ == "__main__":
    main()
