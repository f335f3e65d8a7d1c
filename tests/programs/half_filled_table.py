"""Why base64 is not on the list of pure modules: it fills a global table in a loop; others find it half full.

With the list as it is the first two decodings never meet. With base64 declared harmless, they do at once.

PREEMPTIO_DEBUG=preemptall=1
Exit: 0
"""

import asyncio
import base64

from _common import run

import preemptio

TEXT = base64.b85encode(bytes(range(200)))


def decode():
    return base64.b85decode(TEXT) == bytes(range(200))


async def both(policy):
    base64._b85dec = None  # as in a fresh process
    tasks = [preemptio.go(decode, policy=policy) for _ in range(2)]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def main():
    for _ in range(10):
        assert await both(None) == [True, True]
    harmless = preemptio.SafePointPolicy(allow=["base64"])
    failed = [one for one in await both(harmless) if one is not True]
    assert failed, "the hazard is gone: base64 may go on the list"
    assert all(isinstance(one, (TypeError, ValueError)) for one in failed), failed


run(main())
print("OK")
