"""The size budget: what has to be read at one go is short."""

import ast
from pathlib import Path

import preemptio

PACKAGE = Path(preemptio.__file__).parent
FILE_LINES = 460
FUNCTION_LINES = 60

# Functions that may be longer, and why.
EXCEPTIONS = {
    "_aio/_go.py:go": "most of it is the docstring of the main entrance",
    "_observe/_monitor/_start.py:start": "most of it is the docstring: every address and risk is said there",
}


def functions():
    """Yield the name and the length of every function, docstring included."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path.relative_to(PACKAGE).as_posix()}:{node.name}", node.end_lineno - node.lineno + 1


def test_no_file_is_long():
    """A file is one idea."""
    files = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    lengths = {path: len(text.splitlines()) for path, text in files.items()}
    assert len(lengths) > 30
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_long():
    """A function fits on a screen; each exception is needed still."""
    long = {name for name, lines in functions() if lines > FUNCTION_LINES}
    assert long == set(EXCEPTIONS)
