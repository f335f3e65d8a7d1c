"""run: wherever an unmodified program gets a loop from, it gets one of ours, on the base that it named."""

import json

import pytest

HEAD = """
import asyncio, json, sys

async def main():
    names = [f"{cls.__module__}.{cls.__name__}" for cls in type(asyncio.get_running_loop()).__mro__]
    base = "uvloop" if "uvloop.Loop" in names else "asyncio"
    print(json.dumps(["preemptio._aio._runtime.RuntimeLoop" in names, base, type(asyncio.current_task()).__module__]))

def run_on(loop):
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main())
    loop.close()
"""

# The program names no base: the option decides.
OPEN = {
    "asyncio.run": "asyncio.run(main())",
    "from asyncio import run": "from asyncio import run; run(main())",
    "Runner": "with asyncio.Runner() as runner: runner.run(main())",
    "new_event_loop": "run_on(asyncio.new_event_loop())",
    "policy": "run_on(asyncio.get_event_loop_policy().new_event_loop())",
    "policy inherited": """
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        return super().new_event_loop()
asyncio.set_event_loop_policy(Policy())
asyncio.run(main())
""",
    "policy reset": "asyncio.set_event_loop_policy(None); asyncio.run(main())",
    "thread": "import threading; t = threading.Thread(target=asyncio.run, args=[main()]); t.start(); t.join()",
    "unittest": """
import unittest
class Test(unittest.IsolatedAsyncioTestCase):
    async def test(self):
        await main()
unittest.main(argv=["x"])
""",
}

# The program names a base: it gets that one.
NAMED = {
    "SelectorEventLoop()": ("asyncio", "run_on(asyncio.SelectorEventLoop())"),
    "loop_factory": ("asyncio", "asyncio.Runner(loop_factory=asyncio.SelectorEventLoop).run(main())"),
    "EventLoop": ("asyncio", "run_on(getattr(asyncio, 'EventLoop', asyncio.SelectorEventLoop)())"),
    "a subclass": ("asyncio", "class Mine(asyncio.SelectorEventLoop): pass\nloop = Mine()\nrun_on(loop)"),
    "uvloop.run": ("uvloop", "import uvloop; uvloop.run(main())"),
    "uvloop.new_event_loop": ("uvloop", "import uvloop; run_on(uvloop.new_event_loop())"),
    "uvloop.Loop": ("uvloop", "from uvloop import Loop; run_on(Loop())"),
    "uvloop policy": (
        "uvloop",
        "import uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\nasyncio.run(main())",
    ),
    "install": ("uvloop", "import uvloop; uvloop.install(); asyncio.run(main())"),
}


@pytest.fixture
def outcome(cli, tmp_path):
    """Run a program that ends in main(); return what main() found."""

    def run(source, option):
        (tmp_path / "program.py").write_text(HEAD + source)
        # The policies are deprecated, and so is uvloop's install: their warnings are the program's affair.
        result = cli("run", *option, "program.py", PYTHONWARNINGS="ignore")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.splitlines()[0])

    return run


@pytest.mark.loop
@pytest.mark.parametrize("base", ["asyncio", "uvloop"])
@pytest.mark.parametrize("way", OPEN)
def test_a_program_that_names_no_base(outcome, way, base):
    """The loop is ours, on the base of the option, and its tasks are ours."""
    assert outcome(OPEN[way], [f"--{base}"]) == [True, base, "preemptio._aio._task"]


@pytest.mark.loop
@pytest.mark.parametrize("way", NAMED)
def test_a_program_that_names_a_base(outcome, way):
    """The loop is ours, and on the base that the program chose, whatever the option says."""
    base, source = NAMED[way]
    other = {"asyncio": "--uvloop", "uvloop": "--asyncio"}[base]
    assert outcome(source, [other]) == [True, base, "preemptio._aio._task"]


@pytest.mark.loop
def test_without_an_option(outcome):
    """The base is the library's default: uvloop where it is installed."""
    assert outcome(OPEN["asyncio.run"], [])[:2] == [True, "uvloop"]


@pytest.mark.loop
def test_the_names_are_still_classes(outcome):
    """Loops are instances of what the program calls their classes."""
    source = """
import uvloop
for cls in (asyncio.SelectorEventLoop, uvloop.Loop):
    loop = cls()
    assert isinstance(loop, cls) and isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()
asyncio.run(main())
"""
    assert outcome(source, [])[0] is True
