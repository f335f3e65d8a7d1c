"""Tests of CPython's that are known to fail on our loop: each by name, with the versions and the reason.

The list may only shrink. A test belongs here if it asserts *how* asyncio's own loop works inside - a private
call chain, a line of a traceback - and never because it is inconvenient. A test that passes again, or that is
gone, fails the run until its entry is gone as well.

STOCK marks what fails without us where the list was made: such an entry holds for every loop. There is none:
on Linux, CPython 3.11.7, 3.12.1 and 3.13.0 pass all of test_asyncio with their own loop.
"""

STOCK = "fails on the stock loop here"

# test id without "test.test_asyncio." -> (versions, reason)
EXPECTED: dict[str, tuple[set[tuple[int, int]], str]] = {}
