"""What the report tells, as sections of text, plots and tables: the same for the page and for Markdown."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks._names import NAMES, QUESTIONS
from benchmarks._results import is_finished, manner
from benchmarks.load._samples import PERCENTILES

Record = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text, with `code` and [links](#title) in them; figures are to the right, words to the left."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def is_words(self, column: int) -> bool:
        """Report whether a column has words."""
        return column == 0 or self.header[column] in WORDS or not any(self.header)


WORDS = ("question", "note")


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading, what it says, and what it shows."""

    title: str
    text: str
    measured: str = ""  # how and when
    plot: str | None = None  # a name of _plots.PLOTS
    alt: str = ""
    tables: Sequence[Table] = ()
    level: int = 2  # of its heading


def number(value: float, digits: int = 3) -> str:
    """Return a figure with as many digits as mean something."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.4f}"


def span(record: Record) -> str:
    """Return a figure's interval, empty if it has none."""
    return "" if record["low"] is None else f"{number(record['low'])} to {number(record['high'])}"


def of(data: Mapping[str, Any], benchmark: str) -> list[Record]:
    """Return a benchmark's rows that were measured."""
    return [r for r in data["results"] if r["benchmark"] == benchmark and r["verdict"] != "FAILED"]


def sections(data: Mapping[str, Any]) -> Iterator[Section]:
    """Return all sections: what is promised first, then each benchmark; one that was not run says so."""
    yield from promises(data)
    yield conditions(data)
    for name in ("load", *(name for name in NAMES if name != "load")):  # what it buys before what it costs
        yield benchmark(data, name)
        if name == "load" and of(data, name):
            yield from load_sections(of(data, name))


def promises(data: Mapping[str, Any]) -> Iterator[Section]:
    """Tell what came of each promise; those that were not kept by their figures."""
    judged = {name: [r for r in data["results"] if r["benchmark"] == name and r["verdict"]] for name in NAMES}
    records = [record for each in judged.values() for record in each]
    verdicts = Counter(record["verdict"] for record in records)
    rows = [[f"[{name}](#{name})", QUESTIONS[name], _kept(judged[name]), short(data, name)] for name in NAMES]
    broken = [r for verdict in ("MISSED", "FAILED", "unsure") for r in records if r["verdict"] == verdict]
    tables = [Table(["", "question", "kept", "measured"], rows)]
    if broken:
        tables.append(
            Table(("not kept", *FIGURES[1:]), [[f"{r['benchmark']}: {r['name']}", *_figure(r)] for r in broken])
        )
    yield Section(
        "What is promised",
        f"{verdicts['ok']} of {len(records)} promises were kept: the figure is within its bound. {verdicts['MISSED']} "
        f"were MISSED: the figure and all of its interval are beyond it. {verdicts['unsure']} are unsure: the figure "
        f"is beyond it and the interval is not; more rounds would tell. {verdicts['FAILED']} could not be measured. "
        "`make bench-gate` checks those that are ratios.",
        tables=tables,
    )
    if any(is_plotted(record) for record in records):
        yield Section(
            "How near to its bound each is",
            "The figure and its interval as a multiple of the bound, to the left of the line where it is kept: a point "
            "is asyncio, a square is uvloop; kept, unsure and missed have colours of their own.",
            plot="promises",
            alt="Each promised figure with its interval, relative to its bound, on a logarithmic axis",
            level=3,
        )


def is_plotted(record: Record) -> bool:
    """Report whether a figure has a place beside its bound: an interval, and a bound that has multiples."""
    return record["verdict"] not in ("", "FAILED") and record["low"] is not None and float(record["bound"][2:]) > 0


def _kept(records: Sequence[Record]) -> str:
    return f"{sum(r['verdict'] == 'ok' for r in records)} of {len(records)}" if records else ""


FIGURES = ("", "loop", "measured", "interval", "bound", "verdict")


def _figure(record: Record) -> list[str]:
    has_value = record["verdict"] != "FAILED"
    return [
        record["loop"],
        f"{number(record['value'])} {record['unit']}".rstrip() if has_value else "",
        span(record),
        record["bound"],
        record["verdict"],
    ]


def short(data: Mapping[str, Any], name: str) -> str:
    """Say in two words how a benchmark was measured."""
    if not is_finished(data, name):
        return "not measured" if name not in data["runs"] else "not to its end"
    return f"{'quick' if data['runs'][name]['quick'] else 'full'}, {data['runs'][name]['date']}"


def measured(data: Mapping[str, Any], name: str) -> str:
    """Say how a benchmark was measured, or what to type if it was not."""
    if name not in data["runs"]:
        return f"Not measured: `python -m benchmarks --only {name} --json FILE.json`."
    run = data["runs"][name]
    took = "not to its end"
    if is_finished(data, name):
        took = f"load {run['load'][0]:.1f} before and {run['load'][1]:.1f} after, {run['seconds']:.0f} s"
    return f"Measured {manner(run)}; {took}."


def benchmark(data: Mapping[str, Any], name: str) -> Section:
    """Tell all figures of a benchmark; of `scale` how they grow, of `load` none, as there are plots of them."""
    rows = [r for r in data["results"] if r["benchmark"] == name]
    skipped = "".join(
        f" Skipped: {skip['what']}, {skip['why']}." for skip in data["skipped"] if skip["benchmark"] == name
    )
    if name == "scale":
        return growth([r for r in rows if r["name"].startswith("growth")], measured(data, name) + skipped)
    if name == "load":
        rows = []
    table = Table([*FIGURES, "note"], [[r["name"], *_figure(r), r["note"]] for r in rows])
    return Section(name, QUESTIONS[name], measured(data, name) + skipped, tables=[table] if rows else [])


def conditions(data: Mapping[str, Any]) -> Section:
    """Say what the figures belong to."""
    machine, runs = data["machine"], [data["runs"][name] for name in NAMES if is_finished(data, name)]
    loads = [load for run in runs for load in run["load"]]
    minutes = sum(run["seconds"] for run in runs) / 60
    manners: dict[str, list[str]] = {}
    for name in NAMES:
        if name in data["runs"]:
            manners.setdefault(manner(data["runs"][name]), []).append(name)
    rows = [
        ["processor", f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']:.0f} GB"],
        ["system", machine["system"]],
        ["kernel HZ", f"{machine['hz']['hz']} ({machine['hz']['from']})"],
        ["Python", machine["python"]],
        ["packages", ", ".join(f"{name} {version}" for name, version in machine["versions"].items())],
        *([how, ", ".join(names)] for how, names in manners.items()),
        [
            "load average",
            f"{min(loads):.1f} to {max(loads):.1f}, in {minutes:.0f} minutes" if loads else "not known yet",
        ],
        *([f"skipped: {skip['benchmark']}, {skip['what']}", skip["why"]] for skip in data["skipped"]),
    ]
    busy = max(loads, default=0) > machine["cpus"]
    text = (
        "Sides that are compared ran in turns, in processes of their own, and each ratio is the median over the turns, "
        "with the interval that holds the true median with 95 %. Of fewer than six values it is their whole range. "
        "`quick` is the short form of a benchmark: as many rounds, with less in each."
    )
    if busy:
        text += (
            " The machine had more to do than its CPUs can: lateness is longer than on a quiet one, and a column says "
            "what each process had of it. Ratios of CPU times are less affected, instructions not at all."
        )
    return Section("What the figures belong to", text, tables=[Table(["", ""], rows)])


def load_sections(records: Sequence[Record]) -> Iterator[Section]:
    """Tell the latency under load, most telling first."""
    groups = dict.fromkeys(record["name"] for record in records)
    first = next((name for name in groups if name.startswith("sleep, 8")), next(iter(groups)))
    yield Section(
        "How late is a timer beside eight tasks that compute?",
        "Arrivals are fixed beforehand, and each counts from the time at which it was intended. A task computes 20 ms "
        "at a time and awaits in between. `work` is the share of the process's CPU time that went into "
        "the tasks' work, `CPUs` is what the process had of the machine beside its other work.",
        plot="sleep",
        alt="The share of timers that were later than a time, by peer, on logarithmic axes",
        tables=[_peers_table([r for r in records if r["name"] == first])],
        level=3,
    )
    echo = [r for r in records if r["data"]["probe"] == "echo"]
    if echo:
        name = echo[0]["name"]
        yield Section(
            "How long takes a request beside them?",
            "The same with a request over a loopback connection, sent by another process at the intended time.",
            plot="echo",
            alt="The share of requests that took longer than a time, by peer, on logarithmic axes",
            tables=[_peers_table([r for r in echo if r["name"] == name])],
            level=3,
        )
    sleeps = [r for r in records if r["data"]["probe"] == "sleep" and r["data"]["kind"] == "calls"]
    if len({r["data"]["hogs"] for r in sleeps if r["data"]["slice_ms"]}) > 1:
        yield Section(
            "Which slice for how many?",
            "The 99th percentile of a timer's lateness, in milliseconds. A short slice costs more switches; with many "
            "tasks each turn is longer.",
            plot="heat",
            alt="A heat map of the 99th percentile over slices and numbers of tasks",
            level=3,
        )
    kinds = [r for r in records if r["data"]["hogs"] == 8 and r["data"]["probe"] == "sleep"]
    if len({r["data"]["kind"] for r in kinds}) > 1:
        yield Section(
            "Does it matter what they compute?",
            "A loop without calls is stopped at its back edge, calls at their entry, a generator in the middle of "
            "another one; a call into C ends first.",
            tables=[_kinds_table(kinds)],
            level=3,
        )


def _peers_table(records: Sequence[Record]) -> Table:
    quantiles = [q for q in PERCENTILES if any(q in r["data"]["percentiles"] for r in records)]
    rows = [
        [
            r["loop"],
            *(number(r["data"]["percentiles"][q]) if q in r["data"]["percentiles"] else "" for q in quantiles),
            number(r["data"]["max"]),
            f"{r['data']['share'][0]:.0%}",
            f"{r['data']['cpus']:.2f}" if "cpus" in r["data"] else "",
        ]
        for r in sorted(records, key=lambda r: r["data"]["percentiles"]["99"])
    ]
    return Table(["ms", *(f"{q} %" for q in quantiles), "worst", "work", "CPUs"], rows)


def _kinds_table(records: Sequence[Record]) -> Table:
    kinds = list(dict.fromkeys(r["data"]["kind"] for r in records))
    found = {(r["loop"], r["data"]["kind"]): r for r in records}
    peers = [p for p in dict.fromkeys(r["loop"] for r in records) if all((p, kind) in found for kind in kinds)]
    rows = [[peer, *(number(found[peer, kind]["value"]) for kind in kinds)] for peer in peers]
    return Table(["99 %, ms", *kinds], rows)


def growth(fits: Sequence[Record], how: str) -> Section:
    """Tell how costs grow."""
    rows = [
        [r["name"].removeprefix("growth of "), r["loop"], f"{r['value']:.2f}", *_figure(r)[2:], r["note"]] for r in fits
    ]
    return Section(
        "scale",
        f"{QUESTIONS['scale']} The cost of one thing, as there are more of them: a flat line costs nothing. The slope "
        "is that of the straight line through the logarithms; at 1 each thing costs as much as there are things.",
        how,
        "scale" if fits else None,
        "Costs over the number of Gs, of preempted Gs and the depth of their stacks, on logarithmic axes",
        [Table(["", "loop", "slope", *FIGURES[3:], "note"], rows)] if fits else [],
    )
