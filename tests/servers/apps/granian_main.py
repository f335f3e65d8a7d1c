"""granian takes a loop from its own registry."""

import asyncio
import sys

from granian import Granian
from granian._loops import loops

import preemptio


@loops.register("auto")
def build():
    loop = preemptio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


if __name__ == "__main__":
    Granian("asgi_app:app", address="127.0.0.1", port=int(sys.argv[1]), interface="asgi", loop="auto").serve()
