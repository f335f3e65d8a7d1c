"""The knob table: where a value comes from, what each grammar takes, and how a refusal is worded."""

import dataclasses
import shlex
import string

import pytest
from hypothesis import given, strategies

from preemptio._config import DEBUG_FLAGS, KNOBS, Config, DebugFlags, Knob, Lottery, config
from preemptio._errors import ConfigError, PreemptioError
from preemptio._tools import gen_knobs

ROWS = {knob.name: knob for knob in KNOBS}

DEFAULTS = {
    "slice": 0.005,
    "source": "auto",
    "budget": 61,
    "grace": 2.0,
    "threads": 40,
    "policy": "user",
    "allow": (),
    "deny": (),
    "trace": 0.0,
    "trace_bytes": 16_777_216,
    "trace_slow": 0.0,
    "trace_signal": "none",
    "metrics": 0,
    "slow": 0.1,
    "starvation": 10.0,
    "debug": DebugFlags(asyncpreemptoff=False, schedtrace=0, scheddetail=False),
}

# name, text for the variable, what the attribute then is
GOOD = [
    ("slice", "1ms", 0.001),
    ("slice", "200us", 0.0002),
    ("slice", "0.001", 0.001),
    ("slice", "0.005s", 0.005),
    ("slice", " 2.5 ms ", 0.0025),
    ("slice", ".01", 0.01),
    ("slice", "100us", 0.0001),
    ("slice", "1s", 1.0),
    ("slice", "1", 1.0),
    ("source", "auto", "auto"),
    ("source", "itimer", "itimer"),
    ("source", "posix", "posix"),
    ("source", "none", "none"),
    ("budget", "1", 1),
    ("metrics", "1", 1),
    ("budget", "100000", 100_000),
    ("grace", "0", 0.0),
    ("grace", "500ms", 0.5),
    ("grace", "250us", 0.00025),
    ("grace", "3600s", 3600.0),
    ("threads", "1", 1),
    ("threads", "10000", 10_000),
    ("trace", "10s", 10.0),
    ("trace", "0", 0.0),
    ("trace_bytes", "262144", 262_144),
    ("trace_slow", "100ms", 0.1),
    ("trace_signal", "SIGUSR1", "SIGUSR1"),
    ("trace_signal", "none", "none"),
    ("policy", "user", "user"),
    ("policy", "any", "any"),
    ("allow", "one", ("one",)),
    ("allow", "one, two.deep,", ("one", "two.deep")),
    ("allow", "one,two,one", ("one", "two")),
    ("allow", "/srv/app, one:f", ("/srv/app", "one:f")),
    ("deny", "one.two:Class.method,one", ("one.two:Class.method", "one")),
    ("deny", "/srv/app/../jobs.py", ("/srv/jobs.py",)),
    ("deny", "one:f.<locals>.g", ("one:f.<locals>.g",)),
    ("slow", "0", 0.0),
    ("slow", "50ms", 0.05),
    ("starvation", "1s", 1.0),
    ("debug", "asyncpreemptoff=1", DebugFlags(asyncpreemptoff=True)),
    ("debug", "schedtrace=1000", DebugFlags(schedtrace=1000)),
    ("debug", "schedtrace=1000, scheddetail = 1", DebugFlags(schedtrace=1000, scheddetail=True)),
    ("debug", "schedtrace=5,schedtrace=0", DebugFlags()),
    ("debug", "preemptall=1", DebugFlags(preemptall=True)),
    ("debug", "preemptrandom=7:0.01", DebugFlags(preemptrandom=(7, 0.01))),
]

# name, text nobody accepts, what the message says about it
BAD = [
    ("slice", "99us", "between 100us and 1s"),
    ("slice", "1001ms", "between 100us and 1s"),
    ("slice", "-1ms", "not a time"),
    ("slice", "1m", "not a time"),
    ("slice", "1 MS", "not a time"),
    ("slice", "nan", "not a time"),
    ("slice", "fast", "not a time"),
    ("source", "sigalrm", "no such choice"),
    ("source", "Auto", "no such choice"),
    ("budget", "0", "between 1 and 100000"),
    ("budget", "100001", "between 1 and 100000"),
    ("budget", "1.5", "not a whole number"),
    ("metrics", "2", "between 0 and 1"),
    ("budget", "1_000", "not a whole number"),
    ("budget", "9" * 20, "between 1 and 100000"),
    ("grace", "3601s", "between 0s and 3600s"),
    ("grace", "forever", "not a time"),
    ("threads", "0", "between 1 and 10000"),
    ("trace", "2h", "not a time"),
    ("trace_bytes", "1000", "between 262144 and 1099511627776"),
    ("trace_slow", "-1", "not a time"),
    ("trace_signal", "SIGKILL", "no such choice"),
    ("policy", "all", "no such choice"),
    ("allow", "my-lib", "'my-lib' cannot be the name of a package"),
    ("allow", "one..two", "'one..two' cannot be the name of a package"),
    ("deny", "one:f()", "'f()' cannot be the __qualname__ of a function"),
    ("deny", "/", "'/' is no path to name"),
    ("deny", "one:two:three", "'two:three' cannot be the __qualname__ of a function"),
    ("slow", "3601s", "between 0s and 3600s"),
    ("starvation", "-1", "not a time"),
    ("debug", "asyncpreemptof=1", "known keys are asyncpreemptoff, schedtrace, scheddetail, preemptall, preemptrandom"),
    ("debug", "preemptrandom=1", "the value of preemptrandom is '1': it is not a seed and a share"),
    ("debug", "preemptrandom=1:1.5", "the share is not between 0 and 1"),
    ("debug", "asyncpreemptoff=2", "the value of asyncpreemptoff is '2'"),
    ("debug", "asyncpreemptoff", "the value of asyncpreemptoff is ''"),
    ("debug", "schedtrace=1s", "the value of schedtrace is '1s'"),
    ("debug", "schedtrace=-1", "the value of schedtrace is '-1'"),
]

# name, value which only Python can assign, what the message says about it
BAD_ASSIGNED = [
    ("slice", 5, "between 100us and 1s"),
    ("slice", True, "not a time"),
    ("slice", float("nan"), "between 100us and 1s"),
    ("slice", None, "not a time"),
    ("source", None, "no such choice"),
    ("budget", True, "not a whole number"),
    ("budget", 61.0, "not a whole number"),
    ("grace", float("inf"), "between 0s and 3600s"),
    ("threads", 4.0, "not a whole number"),
    ("trace", -1.0, "between 0s and 3600s"),
    ("trace_bytes", 1e6, "not a whole number"),
    ("trace_slow", True, "not a time"),
    ("trace_signal", 10, "no such choice"),
    ("policy", 1, "no such choice"),
    ("allow", 7, "not a list of names"),
    ("allow", ("one", None), "not a list of names"),
    ("deny", {"one"}, "not a list of names"),
    ("debug", {"schedtrace": 1}, "neither text nor DebugFlags"),
    ("debug", DebugFlags(schedtrace=-1), "the value of schedtrace is -1"),
]


def for_each(cases):
    return pytest.mark.parametrize(("name", "value", "expected"), cases)


def in_environment(name: str, text: str) -> Config:
    return Config(environ={ROWS[name].env: text})


def test_every_knob_is_covered_by_this_file():
    """A knob added to the table has to be added to the cases here."""
    names = [knob.name for knob in KNOBS]
    assert names == list(DEFAULTS)
    assert set(names) == {name for name, *_ in GOOD} == {name for name, *_ in BAD + BAD_ASSIGNED}


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
def test_a_row_is_complete_and_agrees_with_itself(knob: Knob):
    """The variable is spelt like the attribute; default and example are values the knob itself accepts."""
    assert knob.env == f"PREEMPTIO_{knob.name.upper()}"
    assert knob.kind.parse(knob.kind.show(knob.default)) == knob.kind.parse(knob.default) == knob.default
    assert knob.kind.parse(knob.example) != knob.default
    assert knob.doc.endswith(".")
    assert knob.unit
    with pytest.raises(dataclasses.FrozenInstanceError):
        knob.default = None


@pytest.mark.parametrize("name", ROWS)
def test_default(name):
    """A knob nobody has set has its default; a variable that is empty or blank does not set it."""
    for environ in ({}, {ROWS[name].env: ""}, {ROWS[name].env: "  "}):
        assert getattr(Config(environ=environ), name) == DEFAULTS[name]


@for_each(GOOD)
def test_environment(name, value, expected):
    """A variable wins over the default, in every accepted way of writing it."""
    found = getattr(in_environment(name, value), name)
    assert found == expected
    assert type(found) is type(DEFAULTS[name])


@for_each(GOOD)
def test_assignment(name, value, expected):
    """An assignment wins over the environment, be it a value or text written as for the variable."""
    settings = in_environment(name, ROWS[name].example)
    for assigned in (expected, value.strip()):
        setattr(settings, name, assigned)
        assert getattr(settings, name) == expected


def test_numbers_and_lists_are_stored_in_one_form():
    """Equal settings are equal values of one type, whatever was assigned."""
    settings = Config(environ={})
    settings.slice = 1
    settings.allow = ["one", "two"]
    settings.debug = DebugFlags(asyncpreemptoff=1, schedtrace=5)
    assert isinstance(settings.slice, float)
    assert settings.allow == ("one", "two")
    assert settings.debug.asyncpreemptoff is True


@for_each(BAD)
def test_a_bad_variable_is_refused_when_it_is_read(name, value, expected):
    """The refusal names the variable, the bad value, what is accepted, and ends with a line to type."""
    settings = in_environment(name, value)
    with pytest.raises(ConfigError) as refusal:
        getattr(settings, name)
    said = str(refusal.value)
    assert said.startswith(f"{ROWS[name].env}={value!r} is not accepted: ")
    assert expected in said
    assert f"Accepted: {ROWS[name].kind.accepts}" in said
    assert said.endswith(f"Type, for example: {ROWS[name].env}={ROWS[name].example}")
    setattr(settings, name, DEFAULTS[name])
    assert getattr(settings, name) == DEFAULTS[name], "an assignment gets round a bad variable"


@for_each(BAD + BAD_ASSIGNED)
def test_a_bad_assignment_is_refused_at_once(name, value, expected):
    """The refusal names the attribute, ends with an assignment to type, and leaves the setting as it was."""
    settings = Config(environ={})
    with pytest.raises(ConfigError) as refusal:
        setattr(settings, name, value)
    said = str(refusal.value)
    assert said.startswith(f"config.{name} = {value!r} is not accepted: ")
    assert expected in said
    assert getattr(settings, name) == DEFAULTS[name]


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
def test_both_lines_to_type_work(knob):
    """What an error tells the reader to type gives the same setting in the shell and in Python."""
    variable, text = shlex.split(f"{knob.env}={knob.example}")[0].split("=", 1)
    from_shell = Config(environ={variable: text})
    from_python = Config(environ={})
    exec(knob.assignment, {"config": from_python})
    assert getattr(from_shell, knob.name) == getattr(from_python, knob.name) != knob.default


@given(name=strategies.sampled_from(sorted(ROWS)), text=strategies.text(string.printable))
def test_any_text_is_a_value_or_a_config_error(name, text):
    """No text gets past the table, and only ConfigError refuses it; what is taken can be shown."""
    knob = ROWS[name]
    try:
        value = knob.check(text)
    except ConfigError:
        return
    assert knob.check(value) == value
    if name not in {"slice", "grace", "trace", "trace_slow"}:  # a time is shown to six digits, for people
        assert knob.check(knob.kind.show(value)) == value


def test_the_environment_is_read_late(monkeypatch):
    """The global config sees a variable set after import, so that a program may set its own."""
    monkeypatch.setenv("PREEMPTIO_BUDGET", "7")
    assert config.budget == 7
    monkeypatch.delenv("PREEMPTIO_BUDGET")
    assert config.budget == 61


def test_a_misspelt_attribute_is_an_error():
    """`config.slcie = ...` sets nothing, and says so."""
    with pytest.raises(AttributeError):
        config.slcie = 0.002


class TestOverride:
    """`config.override` sets knobs for a `with` block and puts every assignment back."""

    def test_restores_what_was_assigned_and_what_was_not(self):
        """A knob that was not assigned follows the environment again after the block."""
        environ = {"PREEMPTIO_BUDGET": "7"}
        settings = Config(environ=environ)
        settings.slice = 0.002
        with settings.override(slice="3ms", budget=8):
            settings.grace = 1.0
            assert (settings.slice, settings.budget, settings.grace) == (0.003, 8, 1.0)
        environ["PREEMPTIO_BUDGET"] = "9"
        assert (settings.slice, settings.budget, settings.grace) == (0.002, 9, 2.0)

    def test_restores_after_an_exception(self):
        """The block may fail: the settings do not outlive it."""
        settings = Config(environ={})
        with pytest.raises(ZeroDivisionError), settings.override(budget=8):
            _ = 1 / 0
        assert settings.budget == 61

    def test_nests(self):
        """The inner block sees the outer one's settings and leaves them alone."""
        settings = Config(environ={})
        with settings.override(budget=8):
            with settings.override(slice=0.1):
                assert (settings.budget, settings.slice) == (8, 0.1)
            assert (settings.budget, settings.slice) == (8, 0.005)

    def test_takes_all_or_nothing(self):
        """One bad value and the block is not entered, with none of the good values set."""
        settings = Config(environ={})
        with pytest.raises(ConfigError, match=r"config\.slice = 5 is not accepted"):
            settings.override(budget=8, slice=5).__enter__()
        assert settings.budget == 61

    def test_names_the_knobs_when_there_is_no_such_knob(self):
        """The refusal lists what could have been meant."""
        with pytest.raises(ConfigError, match=r"no knob 'slcie'. Known: slice, source.*override\(slice="):
            config.override(slcie=1).__enter__()


def test_debug_flags_and_their_table_agree():
    """The fields of DebugFlags are the rows of DEBUG_FLAGS, all off by default, each settable alone."""
    assert [field.name for field in dataclasses.fields(DebugFlags)] == [row.name for row in DEBUG_FLAGS]
    for row in DEBUG_FLAGS:
        assert not getattr(DebugFlags(), row.name)
        value = (7, 0.25) if isinstance(row.kind, Lottery) else 1
        settings = in_environment("debug", f"{row.name}={row.show(value)}")
        assert settings.debug == DebugFlags(**{row.name: value})
        assert type(getattr(settings.debug, row.name)) is type(getattr(DebugFlags(), row.name))


def test_a_config_error_can_be_caught_by_either_name():
    """`except ValueError` works for code which does not know preemptio."""
    assert issubclass(ConfigError, PreemptioError)
    assert issubclass(ConfigError, ValueError)


class TestPage:
    """docs/knobs.md is what the table says."""

    def test_is_up_to_date(self):
        """Whoever changes the table runs the generator."""
        expected = gen_knobs.render()
        assert gen_knobs.PAGE.read_text(encoding="utf-8") == expected, f"Type: {gen_knobs.COMMAND}"

    def test_mentions_every_knob_and_flag(self):
        """No row is left out of the page, nor any part of what a reader needs of it."""
        page = gen_knobs.render()
        for knob in KNOBS:
            assert f"## {knob.name}\n" in page
            assert knob.env in page
            assert knob.kind.accepts in page
        for flag in DEBUG_FLAGS:
            assert f"| `{flag.name}` |" in page

    def test_check_fails_until_the_page_is_written(self, monkeypatch, tmp_path, capsys):
        """`--check` writes nothing and says what to type; after that command it passes."""
        monkeypatch.setattr(gen_knobs, "PAGE", tmp_path / "knobs.md")
        assert gen_knobs.main(["--check"]) == 1
        assert gen_knobs.COMMAND in capsys.readouterr().err
        assert not gen_knobs.PAGE.exists()
        assert gen_knobs.main([]) == 0
        assert gen_knobs.main(["--check"]) == 0
        gen_knobs.PAGE.write_text("stale", encoding="utf-8")
        assert gen_knobs.main(["--check"]) == 1
