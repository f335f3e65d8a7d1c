"""The lists of modules do not rot: each entry is there on this Python, and a frame of it is met and recognised."""

import ast
import base64
import colorsys
import copy
import csv
import difflib
import dis
import fnmatch
import fractions
import graphlib
import heapq
import html.parser
import importlib.util
import inspect
import io
import ipaddress
import json
import numbers
import pprint
import quopri
import random
import re
import shlex
import statistics
import string
import stringprep
import symtable
import sys
import textwrap
import token
import tokenize
import typing
import urllib.parse
import xml.etree.ElementTree as ET
import zoneinfo
from pathlib import Path

import pytest

import preemptio
from preemptio._aio import _steps
from preemptio._preempt import _whose
from preemptio._preempt._purelist import PURE
from preemptio._preempt._rescue import THREADED
from preemptio._preempt._whose import ASYNC_MODULES, Ownership, Whose


def zone():
    """Load a zone by the file that this machine has, or look for one in vain."""
    try:
        return zoneinfo.ZoneInfo.no_cache("UTC")
    except zoneinfo.ZoneInfoNotFoundError:
        return None


# What has a frame of the module run.
CALLS = {
    "ast": lambda: ast.unparse(ast.parse("a + 1")),
    "colorsys": lambda: colorsys.rgb_to_hls(0.1, 0.2, 0.3),
    "copy": lambda: copy.deepcopy({"a": [1]}),
    "csv": lambda: list(csv.DictReader(io.StringIO("a,b\n1,2\n"))),
    "difflib": lambda: list(difflib.unified_diff(["a"], ["b"])),
    "dis": lambda: dis.dis(zone, file=io.StringIO()),
    "fnmatch": lambda: fnmatch.fnmatch("a.py", "*.py"),
    "fractions": lambda: fractions.Fraction(1, 3) + 1,
    "graphlib": lambda: list(graphlib.TopologicalSorter({"a": {"b"}}).static_order()),
    "heapq": lambda: list(heapq.merge([1, 3], [2])),
    "html": lambda: html.parser.HTMLParser().feed("<p>&amp;</p>"),
    "ipaddress": lambda: ipaddress.ip_network("10.0.0.0/8"),
    "json": lambda: json.dumps({"a": 1}, indent=1),
    "numbers": lambda: bool(numbers.Complex.__bool__(1j)),
    "pprint": lambda: pprint.pformat({"a": [1]}),
    "quopri": lambda: quopri.encodestring(b"a=b"),
    "random": lambda: random.Random(1).shuffle([1, 2, 3]),
    "re": lambda: re.compile("a|b{2}|[c-e]*"),
    "shlex": lambda: shlex.split("a 'b c'"),
    "statistics": lambda: statistics.mean([1, 2, 3]),
    "string": lambda: string.Template("$a").substitute(a=1),
    "stringprep": lambda: stringprep.in_table_c12("a"),
    "symtable": lambda: symtable.symtable("a = 1", "f", "exec").get_symbols(),
    "textwrap": lambda: textwrap.fill("a b c", 3),
    "token": lambda: token.ISTERMINAL(1),
    "tokenize": lambda: list(tokenize.generate_tokens(io.StringIO("a = 1\n").readline)),
    "typing": lambda: typing.get_type_hints(zone),
    "urllib.parse": lambda: urllib.parse.quote("a b/ü"),
    "xml.etree": lambda: ET.tostring(ET.fromstring("<a><b/></a>")),
    "zoneinfo": zone,
}


def frames_of(call):
    """Return the frames of Python functions that a call enters."""
    frames = []
    sys.setprofile(lambda frame, event, _arg: frames.append(frame) if event == "call" else None)
    try:
        call()
    finally:
        sys.setprofile(None)
    return frames


def is_in(name, frame):
    return f"{frame.f_globals.get('__name__')}.".startswith(f"{name}.")


@pytest.mark.parametrize("name", PURE)
def test_every_pure_module_is_met(name):
    """It is found without being imported, a call enters it, and the frame's class is PURE."""
    assert importlib.util.find_spec(name) is not None
    whose = Ownership().whose
    met = [frame for frame in frames_of(CALLS[name]) if is_in(name, frame)]
    assert met
    assert {whose(frame) for frame in met} == {Whose.PURE}


def test_every_entry_is_called_here():
    """And nothing else is."""
    assert CALLS.keys() == PURE.keys()


@pytest.mark.parametrize("name", PURE)
def test_every_entry_has_its_argument(name):
    """One line that fits the table, in the manner of a clause: no capital, no full stop."""
    why = PURE[name]
    assert 20 < len(why) <= 110
    assert why[0].islower()
    assert not why.endswith(".")
    assert "|" not in why
    assert "\n" not in why


def test_the_list_is_in_order():
    """So that an entry is found, and not made twice."""
    assert list(PURE) == sorted(PURE)


def globals_written(path):
    """Return the names that functions of a file declare global."""
    tree = ast.parse(path.read_text("utf-8"))
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


# Globals that functions of pure modules write, and that are read elsewhere: each is assigned once, finished.
ASSIGNED_FINISHED = {
    "ipaddress": {"_address_fmt_re"},
    "random": {"_sha512"},
    "urllib.parse": {"_hextobyte", "_typeprog", "_hostprog", "_portprog"},
    "zoneinfo": {"TZPATH"},
}


@pytest.mark.parametrize("name", PURE)
def test_no_pure_module_writes_a_global_that_was_not_read_by_a_reviewer(name):
    """A new release that adds one must be read again."""
    spec = importlib.util.find_spec(name)
    paths = Path(spec.origin).parent.rglob("*.py") if spec.submodule_search_locations else [Path(spec.origin)]
    assert set().union(*map(globals_written, paths)) <= ASSIGNED_FINISHED.get(name, set())


def test_the_test_of_globals_finds_the_known_hazard():
    """base64 fills a global table in place: that is why it is not on the list."""
    assert "_b85dec" in globals_written(Path(base64.__file__))
    assert "base64" not in PURE


@pytest.mark.parametrize("name", ASYNC_MODULES)
def test_every_async_library_is_recognised(name):
    """By the module as a global, and by the home of anything that was imported from it."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    for line in (f"import {name}", f"from {name} import sleep"):
        names = {}
        exec(line, names)
        assert _whose._knows_async(names)


@pytest.mark.parametrize("name", _steps._HOST_PACKAGES)
def test_every_host_package_is_skipped(name):
    """A frame of such a package is not where a task was born."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    module = f"{name}.tasks"

    def frame():
        return inspect.currentframe()

    made = type(frame)(frame.__code__, {"__name__": module, "inspect": inspect})
    assert _steps._is_host(made())
    _steps._host_files.clear()


@pytest.mark.parametrize("name", sorted(THREADED))
def test_every_threaded_module_exists(name):
    """The list of the rescue of blocking calls."""
    assert importlib.util.find_spec(name) is not None


def test_the_commands_of_the_library_are_user_code():
    """The directory that is excepted from the runtime's is there."""
    assert all(Path(path).is_dir() for path in _whose._OWN_APPS)
    assert Path(_whose._PACKAGE) == Path(preemptio.__file__).parent
