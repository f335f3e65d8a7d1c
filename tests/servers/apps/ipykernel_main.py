"""A notebook: the kernel's loop runs when the first cell does, so it is given the runtime from there."""

import json

from jupyter_client.manager import start_new_kernel

CELLS = [
    "import asyncio, json, preemptio; from beside import Told, check, spin",
    "loop = preemptio.install(asyncio.get_running_loop())",
    "print(json.dumps(await check()))",
    "told = Told(); task = preemptio.go(spin, told)",
    "told.stop = True",  # this cell runs while the task of the one before computes
    "print(json.dumps(await task))",
]


def said(client, cell):
    texts = []
    reply = client.execute_interactive(
        cell, timeout=30, output_hook=lambda message: texts.append(message["content"].get("text", ""))
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(texts)


manager, client = start_new_kernel()
try:
    answers = [said(client, cell) for cell in CELLS]
finally:
    client.stop_channels()
    manager.shutdown_kernel()
print(json.dumps(json.loads(answers[2]) | {"next cell": json.loads(answers[5])}))
