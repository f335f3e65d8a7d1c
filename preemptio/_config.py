"""The knobs: one table, from which the attributes, the environment variables and docs/knobs.md all follow.

Problem: a setting is a name, a variable, a default, a grammar, a range, an error message and a paragraph in
the manual. Kept in seven places, they drift apart.
What does not work:
  - reading the environment at import: a program that sets a variable before it starts us is ignored, and a
    misspelt value becomes a traceback out of an `import` statement;
  - one object per setting, each with its own way to parse: every error message is then worded differently.
What we do: the body of `Config` is the table. A row is a frozen `Knob`, which is also the descriptor that
reads it: an explicit assignment wins over the environment, which wins over the default. A *kind* (`_kinds.py`;
Places and Flags have tables of their own) knows one grammar: what it accepts, how to parse it, how to write it back.
Nothing is cached: a read parses the environment again. Callers on a hot path read once and keep the value.
Context: any thread. Not for signal handlers: reading allocates and may raise.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, get_args, overload

from preemptio._errors import ConfigError
from preemptio._kinds import Choice, Duration, Integer, Kind, Lottery
from preemptio._places import Places

Source: TypeAlias = Literal["auto", "itimer", "posix", "monitor", "none"]
"""Who interrupts a G that does not come back by itself."""

Policy: TypeAlias = Literal["user", "any"]
"""Whose code may be interrupted."""

TraceSignal: TypeAlias = Literal["none", "SIGUSR1", "SIGUSR2"]
"""What has the flight recorder write."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DebugFlags:
    """What `config.debug` holds. Zero is off, and is what a flag that is not mentioned has."""

    asyncpreemptoff: bool = False
    schedtrace: int = 0
    scheddetail: bool = False
    preemptall: bool = False
    preemptrandom: tuple[int, float] | tuple[()] = ()
    sigquit: bool = False


@dataclass(frozen=True, slots=True)
class DebugFlag:
    """One row of the second table: a key of PREEMPTIO_DEBUG."""

    name: str
    kind: Integer | Lottery
    unit: str
    doc: str

    def parse(self, value: object) -> object:
        if isinstance(self.kind, Lottery):
            return self.kind.parse(value)
        number = self.kind.parse(int(value) if isinstance(value, bool) else value)
        return bool(number) if self.kind.high == 1 else number

    def show(self, value: Any) -> str:
        return self.kind.show(value) if isinstance(self.kind, Lottery) else str(int(value))


DEBUG_FLAGS: Final = (
    DebugFlag(
        name="asyncpreemptoff",
        kind=Integer(0, 1),
        unit="switch",
        doc="1 switches off preemption by signal: a G is then switched out at checkpoints only. The first "
        "thing to try when a program misbehaves under preemptio: if the trouble stays, preemption is not "
        "the cause.",
    ),
    DebugFlag(
        name="schedtrace",
        kind=Integer(0, 86_400_000),
        unit="milliseconds",
        doc="Writes one line about the scheduler to standard error each time this many milliseconds have "
        "passed. 0 writes none.",
    ),
    DebugFlag(
        name="scheddetail",
        kind=Integer(0, 1),
        unit="switch",
        doc="1 makes schedtrace write several lines each time: the state of every G. Does nothing while "
        "schedtrace is 0.",
    ),
    DebugFlag(
        name="preemptall",
        kind=Integer(0, 1),
        unit="switch",
        doc="1 takes the CPU from a G at *every* safe point, whether its slice is used up or not. A test of "
        "the program, not a way to run it: code that breaks by being preempted breaks now. Traces every "
        "line, so it is very slow.",
    ),
    DebugFlag(
        name="preemptrandom",
        kind=Lottery(),
        unit="seed and share",
        doc="Like `preemptall`, at this share of the safe points, drawn by this seed: `7:0.01` is one in a hundred. "
        "Two runs of the same program with the same seed draw alike; with a long PREEMPTIO_SLICE nothing but the draw "
        "takes the CPU, and what a seed finds it finds again.",
    ),
    DebugFlag("sigquit", Integer(0, 1), "switch", "1 writes `preemptio.dump()` to standard error at SIGQUIT."),
)
"""The keys of PREEMPTIO_DEBUG, in the order of docs/knobs.md; each is a field of `DebugFlags`."""


@dataclass(frozen=True, slots=True)
class Flags:
    """`key=value` pairs separated by commas, as in Go's GODEBUG. Of a key given twice the last one counts."""

    @property
    def accepts(self) -> str:
        keys = "; ".join(f"{row.name}: {row.kind.accepts}" for row in DEBUG_FLAGS)
        return f"key=value pairs separated by commas ({keys})"

    def parse(self, value: object) -> DebugFlags:
        rows = {row.name: row for row in DEBUG_FLAGS}
        if isinstance(value, DebugFlags):
            given: dict[str, object] = {name: getattr(value, name) for name in rows}
        elif isinstance(value, str):
            pairs = (part.partition("=") for part in value.split(",") if part.strip())
            given = {key.strip(): text.strip() for key, _, text in pairs}
        else:
            raise ValueError("it is neither text nor DebugFlags")
        parsed: dict[str, Any] = {}
        for key, part in given.items():
            if key not in rows:
                raise ValueError(f"the key {key!r} is unknown; known keys are {', '.join(rows)}")
            try:
                parsed[key] = rows[key].parse(part)
            except ValueError as why:
                raise ValueError(f"the value of {key} is {part!r}: {why}") from None
        return DebugFlags(**parsed)

    def show(self, value: DebugFlags) -> str:
        given = {row: getattr(value, row.name) for row in DEBUG_FLAGS}
        return ",".join(f"{row.name}={row.show(what)}" for row, what in given.items() if what)


@dataclass(frozen=True)
class Knob(Generic[T]):
    """One row of the table, and the descriptor through which `Config` reads and writes it."""

    name: str = field(init=False)  # the attribute it is bound to; written once, by __set_name__
    env: str
    default: T
    kind: Kind[T]
    example: str  # text for the variable, different from the default
    unit: str
    doc: str

    def __set_name__(self, owner: type, name: str) -> None:
        # Taking the name from the attribute leaves no second spelling to keep equal.
        object.__setattr__(self, "name", name)

    @overload
    def __get__(self, config: None, owner: type) -> "Knob[T]": ...
    @overload
    def __get__(self, config: "Config", owner: type) -> T: ...
    def __get__(self, config: "Config | None", owner: type) -> "Knob[T] | T":
        if config is None:
            return self
        if self.name in config._assigned:
            value: T = config._assigned[self.name]
            return value
        text = config._environ.get(self.env, "").strip()
        # Blank counts as unset: `PREEMPTIO_SLICE= python app.py` is how a shell takes a setting back.
        if not text:
            return self.default
        return self._accept(text, said=f"{self.env}={text!r}", example=f"{self.env}={self.example}")

    def __set__(self, config: "Config", value: T | str) -> None:
        config._assigned[self.name] = self.check(value)

    def check(self, value: object) -> T:
        """Return what assigning this value would store.

        Raises:
            ConfigError: the knob does not accept the value.
        """
        return self._accept(value, said=f"config.{self.name} = {value!r}", example=self.assignment)

    @property
    def assignment(self) -> str:
        """The example as a line of Python."""
        value: object = self.kind.parse(self.example)
        # Text for the flags: DebugFlags would have to be imported before the line could be typed.
        return f"config.{self.name} = {(self.example if isinstance(value, DebugFlags) else value)!r}"

    def _accept(self, value: object, *, said: str, example: str) -> T:
        try:
            return self.kind.parse(value)
        except ValueError as why:
            refusal = f"{said} is not accepted: {why}. Accepted: {self.kind.accepts}"
            raise ConfigError(f"{refusal}. Type, for example: {example}") from None


class Config:
    """The settings of one process. An assignment wins over the environment, which wins over the default.

    An assigned value is checked at once, a variable when it is read. Text in the grammar of the variable may
    be assigned too.

    Example:
        >>> config = Config(environ={"PREEMPTIO_BUDGET": "200"})
        >>> config.budget
        200
        >>> config.slice = "2ms"
        >>> config.slice
        0.002
        >>> with config.override(budget=10):
        ...     config.budget
        10
    """

    __slots__ = ("_assigned", "_environ")

    slice = Knob(
        env="PREEMPTIO_SLICE",
        default=0.005,
        kind=Duration(100e-6, 1.0),
        example="10ms",
        unit="seconds",
        doc="How long a G may run before it is asked to make room for the others. Shorter means less "
        "waiting for everyone else and more time spent switching; 5 ms is a compromise for servers.",
    )
    source = Knob[Source](
        env="PREEMPTIO_SOURCE",
        default="auto",
        kind=Choice(get_args(Source)),
        example="itimer",
        unit="name",
        doc="Who interrupts a G that does not come back by itself. `posix` uses timer_create and takes "
        "SIGURG, which nobody else wants, or a real-time signal where somebody does; it exists on Linux only. "
        "`itimer` uses setitimer(ITIMER_REAL) and takes SIGALRM; `monitor` uses a second thread and "
        "sys.monitoring, needs CPython 3.12 or newer, "
        "and works in any thread, but does not end blocking calls; `none` interrupts nobody, so that a G is "
        "switched out at checkpoints only. `auto` takes the best one that works here: signals in the main thread, "
        "`monitor` in others.",
    )
    budget = Knob(
        env="PREEMPTIO_BUDGET",
        default=61,
        kind=Integer(1, 100_000),
        example="200",
        unit="steps",
        doc="How many steps of Gs are run before I/O and timers are polled again. Smaller means sockets and "
        "timers are noticed sooner; larger means less time spent polling.",
    )
    grace = Knob(
        env="PREEMPTIO_GRACE",
        default=2.0,
        kind=Duration(0.0, 3600.0),
        example="10s",
        unit="seconds",
        doc="How long the end of a loop - in `preemptio.run`, asyncio.Runner and servers - waits for cancelled tasks "
        "to finish before it stops them at a safe point; and then how long it waits once more before it gives up and "
        "reports the ones still running. Calls of `preemptio.blocking` that still run at the end get as long. A "
        "service that needs longer to finish its work when it is stopped needs a longer one.",
    )
    threads = Knob(
        env="PREEMPTIO_THREADS",
        default=40,
        kind=Integer(1, 10_000),
        example="200",
        unit="threads",
        doc="How many calls of `preemptio.blocking` one loop makes at a time; more of them wait, in order. Threads are "
        "made when they are needed. Calls that wait for one another need as many.",
    )
    policy = Knob[Policy](
        env="PREEMPTIO_POLICY",
        default="user",
        kind=Choice(get_args(Policy)),
        example="any",
        unit="name",
        doc="Whose code may be preempted. `user` is the program's own code and the packages in `allow`. "
        "`any` switches the whose-code rule off. It is for experiments: it breaks code that relies on "
        "running alone between two awaits, and most libraries contain some.",
    )
    allow = Knob(
        env="PREEMPTIO_ALLOW",
        default=(),
        kind=Places(),
        example="my_lib,other_lib.heavy",
        unit="names of code",
        doc="Third-party packages to treat as the program's own code, so that they may be preempted too. "
        "Name only packages known to keep no shared state half changed between two awaits. A single file or "
        "function may be named as well.",
    )
    deny = Knob(
        env="PREEMPTIO_DENY",
        default=(),
        kind=Places(),
        example="my_app.db,my_app.jobs:Queue.take",
        unit="names of code",
        doc="Code that is never preempted, nor anything that it calls. Of `allow` and `deny` the more specific "
        "entry counts: a function before a file before a module, a longer name before a shorter; at the same "
        "place `deny`.",
    )
    trace = Knob(
        env="PREEMPTIO_TRACE",
        default=0.0,
        kind=Duration(0.0, 3600.0),
        example="10s",
        unit="seconds",
        doc="Switches the flight recorder on in every loop: it keeps what the scheduler did in the last so many "
        "seconds, for `preemptio.trace.dump(path)` or one of the two knobs below to write to a file. 0 is off.",
    )
    trace_bytes = Knob(
        env="PREEMPTIO_TRACE_BYTES",
        default=16 << 20,
        kind=Integer(256 << 10, 1 << 40),
        example="67108864",
        unit="bytes",
        doc="How much memory the flight recorder of a loop may take. When it is used up the oldest goes.",
    )
    trace_slow = Knob(
        env="PREEMPTIO_TRACE_SLOW",
        default=0.0,
        kind=Duration(0.0, 3600.0),
        example="100ms",
        unit="seconds",
        doc="A G that has the CPU for so long at a time, though it should have been preempted, has the flight recorder "
        "write a file to the current directory. 0 has it never do so.",
    )
    trace_signal = Knob[TraceSignal](
        env="PREEMPTIO_TRACE_SIGNAL",
        default="none",
        kind=Choice(get_args(TraceSignal)),
        example="SIGUSR1",
        unit="name",
        doc="The signal that has the flight recorder of the main thread's loop write a file to the current directory.",
    )
    metrics = Knob(
        env="PREEMPTIO_METRICS",
        default=0,
        kind=Integer(0, 1),
        example="1",
        unit="switch",
        doc="1 has every loop that begins to run measure what has to be sampled: how long Gs wait for the CPU, how "
        "long they run, how long turns take, CPU per label. `runtime.enable_metrics()` does that for one loop. What is "
        "merely counted is always there.",
    )
    slow = Knob(
        env="PREEMPTIO_SLOW",
        default=0.1,
        kind=Duration(0.0, 3600.0),
        example="50ms",
        unit="seconds",
        doc="How long a step or a callback may keep the loop from turning, while something waits, before it is "
        "reported as a [`slow step`](events.md#slow-step). 0 reports none.",
    )
    starvation = Knob(
        env="PREEMPTIO_STARVATION",
        default=10.0,
        kind=Duration(0.0, 86_400.0),
        example="1s",
        unit="seconds",
        doc="How long a G that was preempted, or is of the background class, may wait for the CPU before it is "
        "reported as a [`starving task`](events.md#starving-task). 0 reports none.",
    )
    debug = Knob(
        env="PREEMPTIO_DEBUG",
        default=DebugFlags(),
        kind=Flags(),
        example="schedtrace=1000,scheddetail=1",
        unit="flags",
        doc="Switches for finding out what the scheduler does, in the manner of Go's GODEBUG.",
    )

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._assigned: dict[str, Any] = {}

    @contextmanager
    def override(self, **values: object) -> Iterator[None]:
        """Assign for the length of a `with` block, then put every assignment back as it was on entry.

        Meant for tests. Either all values are taken or, when one is bad, none. Assignments made inside the
        block are undone too.

        Raises:
            ConfigError: a value is not accepted, or there is no such knob.
        """
        rows = {knob.name: knob for knob in KNOBS}
        for name in values.keys() - rows.keys():
            known = f"There is no knob {name!r}. Known: {', '.join(rows)}"
            raise ConfigError(f"{known}. Type, for example: config.override(slice=0.002)")
        checked = {name: rows[name].check(value) for name, value in values.items()}
        before = self._assigned
        self._assigned = {**before, **checked}
        try:
            yield
        finally:
            self._assigned = before


KNOBS: Final[tuple[Knob[Any], ...]] = tuple(row for row in vars(Config).values() if isinstance(row, Knob))
"""Every knob, in the order docs/knobs.md lists them."""

config: Final = Config()
"""The settings of this process."""
