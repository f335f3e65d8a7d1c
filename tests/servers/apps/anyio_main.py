"""anyio takes a function that makes the loop; its task groups and cancel scopes are what they are."""

import json

import anyio
from beside import Told, check, computes

import preemptio


async def main():
    said = await check()
    told = Told()
    async with anyio.create_task_group() as group:
        group.start_soon(computes, told)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(3600)  # its end is noticed beside the computation
        told.stop = True
    print(json.dumps(said | {"cancelled": scope.cancelled_caught}))


anyio.run(main, backend_options={"loop_factory": preemptio.new_event_loop})
