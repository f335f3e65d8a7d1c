"""The tables of the docs say what the enums in the source say. The source is read, not imported."""

import ast
import itertools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORE = ROOT / "preemptio" / "_core"


def class_body(path, name):
    """Return the statements of a class."""
    tree = ast.parse(path.read_text())
    return next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def escaped(doc):
    """Keep Markdown from reading dunder names as bold type, except in code."""
    return "`".join(part if i % 2 else part.replace("__", r"\_\_") for i, part in enumerate(doc.split("`")))


def reasons(name):
    """Return label and doc of each member of an enum of reasons."""
    values = [
        ast.literal_eval(node.value) for node in class_body(CORE / "_reasons.py", name) if type(node) is ast.Assign
    ]
    return [(label, escaped(doc)) for label, doc in values if label]


def statuses():
    """Return name, number and docstring of each state without the scan bit."""
    body = class_body(CORE / "_gstatus.py", "Gstatus")
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.Assign) and node.value.value < 0x1000:
            yield node.targets[0].id, str(node.value.value), " ".join(ast.literal_eval(after.value).split())


def table(page, heading):
    """Return the rows of the table whose first column has this heading."""
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"^\| {heading} \|.*\n\|[ |-]+\n((?:\|.*\n?)*)", text, re.MULTILINE)
    assert found, f"docs/{page} has no table of {heading}"
    return found[1].splitlines()


@pytest.mark.parametrize(
    ("enum", "page", "heading"),
    [
        ("Verdict", "guarantee.md", "verdict"),
        ("PreemptKind", "design.md", "kind"),
        ("WaitReason", "howto.md", "waits for"),
    ],
)
def test_every_reason_has_its_row(enum, page, heading):
    """The table lists every member, in the enum's order, with its doc and nothing else."""
    assert table(page, heading) == [f"| `{label}` | {doc} |" for label, doc in reasons(enum)]


def test_every_state_has_its_row():
    """The glossary lists the states of a G with number and meaning."""
    assert table("glossary.md", "state") == [f"| `{name}` | {number} | {doc} |" for name, number, doc in statuses()]


def test_every_class_of_code_has_its_row():
    """The guarantee lists the classes that the whose-code rule knows."""
    body = class_body(ROOT / "preemptio" / "_preempt" / "_whose.py", "Whose")
    labels = [node.value.value for node in body if isinstance(node, ast.Assign)]
    assert [row.split(" | ")[0] for row in table("guarantee.md", "class")] == [f"| `{label}`" for label in labels]
