"""tests/run_all.py, which runs everything else."""

from pathlib import Path

from tests.run_all import STEPS

TESTS = Path(__file__).parents[1]


def test_every_folder_is_run():
    """A folder of tests that no step names would never run. The two others have commands of their own."""
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    run = {
        word
        for step in STEPS
        if not (step.environ or step.extra)
        for word in step.arguments.split()
        if word[:6] == "tests/"
    }
    assert {f"tests/{name}" for name in folders} == run - {"tests/cpython/run.py"}
