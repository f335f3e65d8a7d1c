"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import preemptio

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(preemptio.__path__, "preemptio.")
    if info.name != "preemptio.__main__" and not info.name.startswith("preemptio._cli")
)
FINDER = doctest.DocTestFinder(exclude_empty=True)
PUBLIC = ["blocking", "charge", "checkpoint", "explain", "go", "new_event_loop", "nopreempt", "run", "timeout", "wait"]


def examples():
    for name in ["preemptio", *MODULES]:
        for test in FINDER.find(importlib.import_module(name)):
            if test.examples:
                yield test


EXAMPLES = {test.name: test for test in examples()}

EXACT = pytest.mark.uninjected("the example shows where a task stands, or how many steps there are")
UNINJECTED = {"stack", "suspend_g", "dump", "enable_metrics"}


@pytest.mark.loop
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[EXACT] if name.rpartition(".")[2] in UNINJECTED else []) for name in EXAMPLES]
)
def test_the_example_runs(name):
    """With ELLIPSIS as the only licence."""
    report, test = [], EXAMPLES[name]
    thing = name.rpartition(".")[2]  # all that is there but what the example imports: it is a user's program
    test.globs = {"__name__": "__main__", thing: test.globs.get(thing)}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    assert runner.tries == len(test.examples) > 0


def test_what_a_user_calls_first_has_an_example():
    """Nobody has to guess how the main functions are used."""
    shown = {name.rpartition(".")[2] for name in EXAMPLES}
    assert set(PUBLIC) - {"charge"} <= shown
