"""A task that is made without create_task, at the top of a program, where there are few frames below.

Exit: 0
"""

import asyncio

from _common import make_loop

import preemptio

loop = make_loop()
task = preemptio.Task(asyncio.sleep(0, "slept"), loop=loop)
assert task.g.created_at == f"{__file__}:13 in <module>", task.g.created_at
assert loop.run_until_complete(task) == "slept"
loop.close()
print("OK")
