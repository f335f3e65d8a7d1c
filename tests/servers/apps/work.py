"""What computes in each of the services: until the test has seen what it wanted to see, in whichever process it is."""

import os
import tempfile
import time

WORK = os.environ["WORK"]
"""A directory: whoever begins to compute leaves a file there, and goes on until there is one called `enough`."""


def compute():
    tempfile.mkstemp(prefix="begun", dir=WORK)
    total, until = 0, time.monotonic() + 20
    while not os.path.exists(os.path.join(WORK, "enough")) and time.monotonic() < until:
        for i in range(1_000):
            total += i * i % 7
    return total
