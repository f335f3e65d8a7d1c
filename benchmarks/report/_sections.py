"""What the report tells, as sections of text, plots and tables: the same for the page and for Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.load._samples import PERCENTILES

Record = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text; the first column is to the left, the others to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading, what it says, and what it shows."""

    title: str
    text: str
    plot: str | None = None  # a name of _plots.PLOTS
    alt: str = ""
    tables: Sequence[Table] = ()


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
    """Return all sections that the file has figures for."""
    yield conditions(data)
    load = of(data, "load")
    if load:
        yield from load_sections(load)
    promised = [record for record in data["results"] if record["verdict"]]
    if promised:
        yield promises(promised)
    if costs := of(data, "cost") + of(data, "instructions"):
        yield Section(
            "What things cost when nothing hogs",
            "Against the stock loop, or in steps of the same loop. Instructions are counted by callgrind: they say the "
            "same on a busy machine, and a regression shows in them first.",
            tables=[_figures(costs)],
        )
    if scale := of(data, "scale"):
        yield growth(scale)
    rest = [r for name in dict.fromkeys(r["benchmark"] for r in data["results"]) for r in of(data, name)]
    rest = [r for r in rest if r["benchmark"] not in ("load", "cost", "instructions", "scale") and not r["verdict"]]
    if rest:
        yield Section("For comparison", "Measured beside the promises, and not promised.", tables=[_figures(rest)])


def conditions(data: Mapping[str, Any]) -> Section:
    """Say what the figures belong to."""
    machine, options = data["machine"], data["options"]
    loads = [load for done in data["done"].values() for load in done["load"]]
    minutes = sum(done["seconds"] for done in data["done"].values()) / 60
    commit = (machine["git"]["commit"] or "unknown")[:12] + (", with changes" if machine["git"]["dirty"] else "")
    rows = [
        ["processor", f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']:.0f} GB"],
        ["system", machine["system"]],
        ["kernel HZ", f"{machine['hz']['hz']} ({machine['hz']['from']})"],
        ["Python", machine["python"]],
        *([name, version] for name, version in machine["versions"].items()),
        ["commit", commit],
        ["options", f"{'quick' if options['quick'] else 'full'}, {options['rounds']} rounds"],
        [
            "load average",
            f"{min(loads):.1f} to {max(loads):.1f}, in {minutes:.0f} minutes" if loads else "not known yet",
        ],
        *([f"skipped: {skip['what']}", skip["why"]] for skip in data["skipped"]),
    ]
    busy = max(loads, default=0) > machine["cpus"]
    text = (
        "Sides that are compared ran in turns, in processes of their own, and each ratio is the median over the turns, "
        "with the interval that holds the true median with 95 %. Of fewer than six values it is their whole range."
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
        "sleep",
        "The share of timers that were later than a time, by peer, on logarithmic axes",
        [_peers_table([r for r in records if r["name"] == first])],
    )
    echo = [r for r in records if r["data"]["probe"] == "echo"]
    if echo:
        name = echo[0]["name"]
        yield Section(
            "How long takes a request beside them?",
            "The same with a request over a loopback connection, sent by another process at the intended time.",
            "echo",
            "The share of requests that took longer than a time, by peer, on logarithmic axes",
            [_peers_table([r for r in echo if r["name"] == name])],
        )
    sleeps = [r for r in records if r["data"]["probe"] == "sleep" and r["data"]["kind"] == "calls"]
    if len({r["data"]["hogs"] for r in sleeps if r["data"]["slice_ms"]}) > 1:
        yield Section(
            "Which slice for how many?",
            "The 99th percentile of a timer's lateness, in milliseconds. A short slice costs more switches; with many "
            "tasks each turn is longer.",
            "heat",
            "A heat map of the 99th percentile over slices and numbers of tasks",
        )
    kinds = [r for r in records if r["data"]["hogs"] == 8 and r["data"]["probe"] == "sleep"]
    if len({r["data"]["kind"] for r in kinds}) > 1:
        yield Section(
            "Does it matter what they compute?",
            "A loop without calls is stopped at its back edge, calls at their entry, a generator in the middle of "
            "another one; a call into C ends first.",
            tables=[_kinds_table(kinds)],
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


def promises(records: Sequence[Record]) -> Section:
    """Tell what is promised and what came of it."""
    rows = [
        [
            f"{r['benchmark']}: {r['name']}",
            r["loop"],
            number(r["value"]) if r["verdict"] != "FAILED" else "",
            span(r),
            f"{r['bound']} {r['unit']}",
            r["verdict"],
        ]
        for r in records
    ]
    kept = sum(r["verdict"] == "ok" for r in records)
    return Section(
        "What is promised",
        f"{kept} of {len(records)} promises were kept in this run. One is `unsure` when its bound lies inside the "
        "figure's interval, `MISSED` when all of the interval is beyond it. `make bench-gate` checks those that are "
        "ratios.",
        "promises",
        "Each promised ratio with its interval, relative to its bound",
        [Table(["", "loop", "measured", "interval", "bound", ""], rows)],
    )


def _figures(records: Sequence[Record]) -> Table:
    rows = [
        [f"{r['benchmark']}: {r['name']}", r["loop"], f"{number(r['value'])} {r['unit']}", span(r), r["note"]]
        for r in records
    ]
    return Table(["", "loop", "measured", "interval", "of"], rows)


def growth(records: Sequence[Record]) -> Section:
    """Tell how costs grow."""
    fits = [r for r in records if r["name"].startswith("growth")]
    rows = [[r["name"].removeprefix("growth of "), r["loop"], f"{r['value']:.2f}", span(r), r["note"]] for r in fits]
    return Section(
        "How costs grow",
        "The cost of one thing, as there are more of them: a flat line costs nothing. The slope is that of the "
        "straight line through the logarithms; at 1 each thing costs as much as there are things.",
        "scale",
        "Costs over the number of Gs, of preempted Gs and the depth of their stacks, on logarithmic axes",
        [Table(["", "loop", "slope", "interval", "from, to"], rows)],
    )
