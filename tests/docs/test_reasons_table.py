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
    """Return label, doc and, where there is one, advice of each member of an enum of reasons."""
    values = [
        ast.literal_eval(node.value) for node in class_body(CORE / "_reasons.py", name) if type(node) is ast.Assign
    ]
    return [(label, *map(escaped, columns)) for label, *columns in values if label]


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
        ("SafePointKind", "design.md", "stands"),
        ("WaitReason", "howto.md", "waits for"),
    ],
)
def test_every_reason_has_its_row(enum, page, heading):
    """The table lists every member, in the enum's order, with its doc, and its advice, and nothing else."""
    assert table(page, heading) == [f"| `{label}` | {' | '.join(columns)} |" for label, *columns in reasons(enum)]


def test_every_refusal_has_an_advice():
    """One line of what to type or to change for each, and none where there is nothing to be done."""
    advice = {label: text for label, _, text in reasons("Verdict")}
    assert [label for label, text in advice.items() if not text] == ["safe"]
    assert not [text for text in advice.values() if "\n" in text or "|" in text or len(text) > 110]


def test_every_state_has_its_row():
    """The glossary lists the states of a G with number and meaning."""
    assert table("glossary.md", "state") == [f"| `{name}` | {number} | {doc} |" for name, number, doc in statuses()]


def test_every_class_of_code_has_its_row():
    """The guarantee lists the classes that the whose-code rule knows."""
    body = class_body(ROOT / "preemptio" / "_preempt" / "_whose.py", "Whose")
    labels = [node.value.value for node in body if isinstance(node, ast.Assign)]
    assert [row.split(" | ")[0] for row in table("guarantee.md", "class")] == [f"| `{label}`" for label in labels]


def test_every_pure_module_has_its_row():
    """The page lists the modules of the standard library that may be preempted, each with its argument."""
    tree = ast.parse((ROOT / "preemptio" / "_preempt" / "_purelist.py").read_text())
    (pure,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.AnnAssign)]
    assert table("pure-modules.md", "module") == [f"| `{name}` | {escaped(why)} |" for name, why in pure.items()]
