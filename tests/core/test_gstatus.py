"""The status of a G: Go's names and numbers, the table of transitions, and that nothing goes round the table."""

import ast
import itertools
from pathlib import Path

import pytest

import preemptio
from preemptio._core import _gstatus
from preemptio._core._g import new_g
from preemptio._core._gstatus import (
    TRANSITIONS,
    Gstatus,
    cas_from_preempted,
    cas_from_scan,
    cas_gstatus,
    cas_to_preempt_scan,
    cas_to_scan,
)
from preemptio._errors import InternalError

PACKAGE = Path(preemptio.__file__).parent

# runtime2.go. 5 is unused there, 7 only ever had a name, and 0x1000 is the bit itself.
GO = {
    "IDLE": 0,
    "RUNNABLE": 1,
    "RUNNING": 2,
    "SYSCALL": 3,
    "WAITING": 4,
    "DEAD": 6,
    "COPYSTACK": 8,
    "PREEMPTED": 9,
    "LEAKED": 10,
    "SCAN": 0x1000,
    "SCANRUNNABLE": 0x1001,
    "SCANRUNNING": 0x1002,
    "SCANSYSCALL": 0x1003,
    "SCANWAITING": 0x1004,
    "SCANPREEMPTED": 0x1009,
    "SCANLEAKED": 0x100A,
}

# proc.go's transitions. Go makes its Gs in DEAD, from a free list; here they are made in IDLE and end in DEAD.
LEGAL = {
    (Gstatus[old], Gstatus[new])
    for old, news in {
        "IDLE": "RUNNABLE WAITING DEAD",
        "RUNNABLE": "RUNNING",
        "RUNNING": "RUNNABLE WAITING SYSCALL COPYSTACK DEAD",
        "SYSCALL": "RUNNING RUNNABLE",
        "WAITING": "RUNNABLE RUNNING LEAKED",
        "COPYSTACK": "RUNNING",
        "PREEMPTED": "WAITING",
        "LEAKED": "WAITING",
    }.items()
    for new in news.split()
}
CLAIMABLE = [Gstatus[name] for name in ("RUNNABLE", "RUNNING", "SYSCALL", "WAITING", "LEAKED")]
RELEASABLE = [*CLAIMABLE, Gstatus.PREEMPTED]
ALL = list(Gstatus)


def g_in(status):
    g = new_g(lambda: None, None, -1)
    g.status = status
    return g


def assert_refused(g, move, *args):
    """`move` raises an InternalError that shows the G, and leaves the G alone."""
    status, dump = g.status, g.dump()
    with pytest.raises(InternalError, match="illegal transition") as caught:
        move(g, *args)
    assert dump in str(caught.value)
    assert g.status is status


def test_names_and_numbers_are_gos():
    """A reader of Go's documents finds the same states under the same numbers."""
    assert {status.name: status.value for status in Gstatus} == GO


def test_a_status_is_shown_as_in_gos_dumps():
    """Lower case, and the scan bit as a suffix."""
    assert [str(Gstatus.WAITING), str(Gstatus.SCANWAITING)] == ["waiting", "waiting (scan)"]


@pytest.mark.parametrize("status", ALL, ids=lambda status: status.name)
def test_the_scan_bit_hides_a_base_state(status):
    """`scanned` and `base` take a status apart into bit and state."""
    assert status.scanned == (status.value >= 0x1000)
    assert status.base.value == status.value % 0x1000


def test_a_g_is_made_in_idle():
    """A new record belongs to its maker."""
    assert new_g(lambda: None, None, -1).status is Gstatus.IDLE


class TestTable:
    """cas_gstatus and TRANSITIONS."""

    def test_is_gos(self):
        """The table is exactly proc.go's, without Go's free list."""
        assert TRANSITIONS == LEGAL

    @pytest.mark.parametrize(("old", "new"), sorted(LEGAL), ids=lambda status: status.name)
    def test_a_legal_pair_is_taken(self, old, new):
        """A transition of the table moves the G."""
        g = g_in(old)
        cas_gstatus(g, old, new)
        assert g.status is new

    def test_every_other_pair_is_an_internal_error(self):
        """Whatever is not in the table is refused with the dump of the G, and the G stays as it is."""
        refused = [pair for pair in itertools.product(ALL, ALL) if pair not in LEGAL]
        assert len(refused) == len(ALL) ** 2 - len(LEGAL)
        for old, new in refused:
            assert_refused(g_in(old), cas_gstatus, old, new)

    def test_the_old_status_must_be_the_real_one(self):
        """A legal pair does not move a G that is in another state."""
        for (old, new), actual in itertools.product(LEGAL, ALL):
            if actual is not old:
                assert_refused(g_in(actual), cas_gstatus, old, new)


class TestScan:
    """The scan bit: s -> s|SCAN -> s."""

    @pytest.mark.parametrize("status", CLAIMABLE, ids=lambda status: status.name)
    def test_lends_a_claimable_state_and_gives_it_back(self, status):
        """The state under the bit survives, and only one reader gets it."""
        g = g_in(status)
        assert cas_to_scan(g, status)
        assert (g.status.scanned, g.status.base) == (True, status)
        assert not cas_to_scan(g, status)
        cas_from_scan(g, g.status)
        assert g.status is status

    @pytest.mark.parametrize("status", [s for s in ALL if s not in CLAIMABLE], ids=lambda status: status.name)
    def test_refuses_what_cannot_be_claimed(self, status):
        """Asking for the bit of any other state is an internal error, not a False."""
        assert_refused(g_in(status), cas_to_scan, status)

    @pytest.mark.parametrize("status", CLAIMABLE, ids=lambda status: status.name)
    def test_a_g_that_has_moved_is_not_an_error(self, status):
        """The reader lost a race and may look again."""
        for actual in ALL:
            if actual is not status:
                g = g_in(actual)
                assert cas_to_scan(g, status) is False
                assert g.status is actual

    def test_drops_only_a_bit_that_is_held(self):
        """Giving back what was not borrowed is an internal error, whatever the G is in."""
        held = {Gstatus(status | Gstatus.SCAN) for status in RELEASABLE}
        for status, actual in itertools.product(ALL, ALL):
            if status in held and actual is status:
                continue
            assert_refused(g_in(actual), cas_from_scan, status)

    def test_blocks_every_other_transition(self):
        """While the bit is set, no pair of the table moves the G."""
        for status, (old, new) in itertools.product(CLAIMABLE, LEGAL):
            g = g_in(status)
            assert cas_to_scan(g, status)
            assert_refused(g, cas_gstatus, old, new)

    def test_a_g_stops_for_a_suspender_with_the_bit_set(self):
        """RUNNING -> PREEMPTED passes through the scan state: nobody can claim it half-way."""
        g = g_in(Gstatus.RUNNING)
        cas_to_preempt_scan(g)
        assert g.status is Gstatus.SCANPREEMPTED
        assert not cas_from_preempted(g)
        cas_from_scan(g, Gstatus.SCANPREEMPTED)
        assert g.status is Gstatus.PREEMPTED

    @pytest.mark.parametrize("status", [s for s in ALL if s is not Gstatus.RUNNING], ids=lambda status: status.name)
    def test_only_a_running_g_stops_itself(self, status):
        """preemptPark in any other state is an internal error."""
        assert_refused(g_in(status), cas_to_preempt_scan)

    def test_one_claimer_of_a_preempted_g_wins(self):
        """The first gets True and owes the G the CPU; the second gets False."""
        g = g_in(Gstatus.PREEMPTED)
        assert [cas_from_preempted(g), cas_from_preempted(g)] == [True, False]
        assert g.status is Gstatus.WAITING


# Who writes a status. The hot path in _step.py writes inline, so its writes are read from its source.


def writes(tree):
    """Yield every statement that assigns an attribute called `status`, and every setattr of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target] if getattr(node, "value", None) else []
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in {"setattr", "__setattr__"} and any(getattr(arg, "value", 0) == "status" for arg in node.args):
                yield node
            continue
        else:
            continue
        flat = itertools.chain.from_iterable(ast.walk(target) for target in targets)
        if any(isinstance(t, ast.Attribute) and t.attr == "status" and isinstance(t.ctx, ast.Store) for t in flat):
            yield node


def test_the_status_is_written_in_three_places_only():
    """_gstatus.py, the hot path in _step.py, and the birth of a G in _g.py."""
    found = {}
    for path in set(PACKAGE.rglob("*.py")) - set(PACKAGE.glob("_cli/*")):  # a command's status is an exit status
        lines = [node.lineno for node in writes(ast.parse(path.read_text("utf-8")))]
        if lines:
            found[path.relative_to(PACKAGE).as_posix()] = lines
    assert set(found) == {"_core/_gstatus.py", "_core/_step.py", "_core/_g.py"}
    birth = next(n for n in ast.walk(ast.parse((PACKAGE / "_core/_g.py").read_text("utf-8"))) if is_birth(n))
    assert found["_core/_g.py"] == [node.lineno for node in writes(birth)]


def is_birth(node):
    return isinstance(node, ast.FunctionDef) and node.name == "new_g"


def is_status(node):
    return getattr(node, "attr", getattr(node, "id", "")) == "status"


def compared(test, operator):
    """Return the states X of `status <operator> X`, or of several such joined by `or`."""
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or) else [test]
    states = set()
    for part in parts:
        fits = isinstance(part, ast.Compare) and is_status(part.left) and isinstance(part.ops[0], operator)
        states |= {Gstatus[part.comparators[0].id]} if fits else set()
    return states if len(states) == len(parts) else set()


def inline_pairs(statements, known=frozenset()):
    """Return the (guarded old, new) pairs of the status writes in a block; an unguarded write has None as old."""
    pairs = set()
    for node in statements:
        if isinstance(node, ast.If):
            pairs |= inline_pairs(node.body, compared(node.test, ast.Is) or known)
            pairs |= inline_pairs(node.orelse, known)
            refused = ast.unparse(node.body[-1]).startswith("bad_transition(")
            known = (refused and compared(node.test, ast.IsNot)) or known
        elif list(writes(node)):
            value = node.value
            news = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            pairs |= {(old, Gstatus[new.id]) for new in news for old in known or {None}}
            known = {Gstatus[new.id] for new in news}
        elif any(isinstance(part, ast.Call) for part in ast.walk(node)):
            known = frozenset()  # user code may run in a call, and what was known is not known any more
    return pairs


def test_the_inline_writes_are_in_the_table():
    """Each write of _step.py stands under a test of the old status, and old -> new is a legal transition."""
    source = (PACKAGE / "_core/_step.py").read_text("utf-8")
    functions = {f.name: inline_pairs(f.body) for f in ast.parse(source).body if isinstance(f, ast.FunctionDef)}
    names = {name: {(getattr(old, "name", None), new.name) for old, new in pairs} for name, pairs in functions.items()}
    assert names == {
        "ready": {("WAITING", "RUNNABLE"), ("RUNNING", "RUNNABLE"), ("IDLE", "RUNNABLE")},
        "run_step": {("RUNNABLE", "RUNNING"), ("RUNNING", "DEAD"), ("RUNNING", "WAITING")},
        "settle_failed": {("RUNNING", "DEAD"), ("RUNNING", "WAITING")},
    }
    assert set().union(*functions.values()) <= TRANSITIONS


def test_a_birth_is_in_the_table():
    """What newproc is asked to hand out a G in may follow IDLE, in which it was made until then."""
    calls = (node for node in ast.walk(ast.parse((PACKAGE / "_aio/_steps.py").read_text("utf-8"))) if is_newproc(node))
    born = {part.id for call in calls for part in ast.walk(call.args[3]) if getattr(part, "id", "") in GO}
    assert {(Gstatus.IDLE, Gstatus[name]) for name in born} == {pair for pair in TRANSITIONS if pair[0] is Gstatus.IDLE}


def is_newproc(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "newproc"


def test_the_names_of_the_states_are_the_states():
    """`from _gstatus import RUNNING` cannot mean something else than Gstatus.RUNNING."""
    names = [name for name in GO if hasattr(_gstatus, name)]
    assert len(names) >= 9
    for name in names:
        assert getattr(_gstatus, name) is Gstatus[name]
