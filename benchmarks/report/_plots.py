"""The plots, drawn by matplotlib as SVG with text as text. Each gets the results and returns a figure."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks._names import NAMES
from benchmarks.load._samples import Samples
from benchmarks.report._sections import Record, is_plotted, number, of
from benchmarks.report._theme import LIGHT, named

STYLES: dict[str, tuple[str, str, float]] = {
    "preemptio, asyncio, 5 ms": ("blue", "-", 2.6),
    "preemptio, uvloop, 5 ms": ("teal", "-", 2.6),
    "preemptio, asyncio, 1 ms": ("blue", "--", 2.0),
    "asyncio": ("red", "-", 1.6),
    "uvloop": ("amber", "-", 1.6),
    "sleep(0) each ms": ("purple", "-", 1.6),
    "gevent": ("pink", "-", 1.6),
    "to_thread": ("red", "--", 1.6),
    "thread pool, 0.5 ms switch": ("amber", "--", 1.6),
    "process pool": ("purple", "--", 1.6),
    "trio, to_thread": ("pink", "--", 1.6),
    "Go": ("grey", "-", 2.2),
}
"""A peer has the same colour and line in every plot: its colour, dashes and width."""

SHORTEST_MS = 0.03
"""Where the axis begins: below, there is nothing to compare."""

ON_THE_LOOP = ("preemptio, asyncio, 5 ms", "preemptio, uvloop, 5 ms", "asyncio", "uvloop", "sleep(0) each ms", "gevent")
ELSEWHERE = (
    "preemptio, asyncio, 5 ms",
    "to_thread",
    "thread pool, 0.5 ms switch",
    "process pool",
    "trio, to_thread",
    "Go",
)


def draw_all(data: Mapping[str, Any]) -> dict[str, str]:
    """Return each plot that the results suffice for, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "benchmarks",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "text.color": LIGHT["ink"],
        "axes.labelcolor": LIGHT["soft"],
        "axes.edgecolor": LIGHT["grey"],
        "axes.titlecolor": LIGHT["ink"],
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": LIGHT["grid"],
        "xtick.color": LIGHT["soft"],
        "ytick.color": LIGHT["soft"],
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        "legend.fontsize": 9,
    }
    made = {}
    with mpl.rc_context(settings):
        for name, plot in PLOTS.items():
            figure = plot(data)
            if figure is None:
                continue
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)
            made[name] = _shorter(named(buffer.getvalue()))
    return made


def _shorter(svg: str) -> str:
    """Let the text have the reader's own font; drop digits that no screen shows, and blanks at the ends of lines."""
    svg = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
    svg = re.sub(r"'DejaVu Sans'", "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial", svg)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def tail_plot(probe: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return the plot of a probe's distributions beside eight hogs: on the loop to the left, elsewhere to the right."""

    def plot(data: Mapping[str, Any]) -> Any:
        import matplotlib.pyplot as plt

        records = {
            r["loop"]: r
            for r in of(data, "load")
            if (r["data"]["probe"], r["data"]["hogs"], r["data"]["kind"]) == (probe, 8, "calls")
        }
        if not records:
            return None
        figure, panels = plt.subplots(1, 2, figsize=(10, 5.2), sharex=True, sharey=True, layout="constrained")
        for axes, title, names in zip(
            panels, ("Computing on the loop", "Computing elsewhere, and Go"), (ON_THE_LOOP, ELSEWHERE), strict=True
        ):
            shown = [name for name in names if name in records]
            for name in shown:
                _tail(axes, name, records[name])
            axes.set(title=title, xscale="log", yscale="log", ylim=(8e-4, 1.15), xlabel="later than, ms")
            axes.set_yticks([1, 0.1, 0.01, 0.001], ["100 %", "10 %", "1 %", "0.1 %"])
            axes.set_xlim(left=SHORTEST_MS)
            axes.minorticks_off()
            _plain_ticks(axes.xaxis)
            if shown:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, handlelength=2.4)
        panels[0].set_ylabel("share of timers" if probe == "sleep" else "share of requests")
        return figure

    return plot


def _tail(axes: Any, name: str, record: Record) -> None:
    """Draw one distribution: the share of the samples that was greater."""
    colour, dashes, width = STYLES[name]
    points = list(_visible(Samples(record["data"]["hdr"]).curve()))
    axes.step(
        [points[0][0], *(ms for ms, _ in points)],
        [1.0, *(share for _, share in points)],
        where="post",
        color=LIGHT[colour],
        linestyle=dashes,
        linewidth=width,
        label=name,
    )


def _visible(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Leave out the points of a curve that are nearer to the one before than an eye can tell, on logarithmic axes."""
    at = (0.0, 2.0)
    for ms, share in points:
        if share > 0 and (ms > at[0] * 1.03 or share < at[1] * 0.97):
            at = (ms, share)
            yield at


def _plain_ticks(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def heat_plot(data: Mapping[str, Any]) -> Any:
    """Plot the 99th percentile over slices and hogs, a panel for each loop that has them."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    cells = [
        r
        for r in of(data, "load")
        if r["data"]["probe"] == "sleep" and r["data"]["slice_ms"] and (r["data"]["kind"] == "calls")
    ]
    families = [f for f in dict.fromkeys(r["data"]["family"] for r in cells) if _is_grid(cells, f)]
    if not families:
        return None
    figure, panels = plt.subplots(1, len(families), figsize=(10, 3.6), squeeze=False, layout="constrained")
    norm = LogNorm(min(r["value"] for r in cells), max(r["value"] for r in cells))
    for axes, family in zip(panels[0], families, strict=True):
        mine = [r for r in cells if r["data"]["family"] == family]
        slices, hogs = _axes_of(mine)
        for r in mine:
            x, y = hogs.index(r["data"]["hogs"]), slices.index(r["data"]["slice_ms"])
            shade = 0.12 + 0.88 * float(norm(r["value"]))
            axes.add_patch(plt.Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=_mix(shade), linewidth=0))
            ink = "#fefefe" if shade > 0.5 else "#1f2329"  # no colours of the theme: a cell is the same on both papers
            axes.text(x, y, number(r["value"]), ha="center", va="center", color=ink, fontsize=11)
        axes.set(
            title=family, xlabel="tasks that compute", xlim=(-0.5, len(hogs) - 0.5), ylim=(-0.5, len(slices) - 0.5)
        )
        axes.set_xticks(range(len(hogs)), [str(count) for count in hogs])
        axes.set_yticks(range(len(slices)), [f"{ms:g} ms" for ms in slices])
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
    panels[0][0].set_ylabel("slice")
    return figure


def _axes_of(records: Sequence[Record]) -> tuple[list[float], list[int]]:
    return sorted({r["data"]["slice_ms"] for r in records}), sorted({r["data"]["hogs"] for r in records})


def _is_grid(cells: Sequence[Record], family: str) -> bool:
    mine = [r for r in cells if r["data"]["family"] == family]
    slices, hogs = _axes_of(mine)
    return len(hogs) > 1 and len(mine) == len(slices) * len(hogs)


def _mix(shade: float) -> str:
    """Return a blue between pale and deep."""
    pale, deep = (222, 235, 251), (12, 52, 117)
    return "#{:02x}{:02x}{:02x}".format(*(round(a + (b - a) * shade) for a, b in zip(pale, deep, strict=True)))


def promises_plot(data: Mapping[str, Any]) -> Any:
    """Plot each promised figure with its interval, as a multiple of its bound; what is beyond 1 is missed."""
    import matplotlib.pyplot as plt

    records = [r for name in NAMES for r in of(data, name) if is_plotted(r)]
    if not records:
        return None
    labels = list(dict.fromkeys(f"{r['benchmark']}: {r['name']}" for r in reversed(records)))
    figure, axes = plt.subplots(figsize=(10, 0.9 + 0.25 * len(labels)), layout="constrained")
    colours = {"ok": "teal", "unsure": "amber", "MISSED": "red"}
    for r in records:
        low, middle, high = sorted(_against(r["bound"], r[key]) for key in ("low", "value", "high"))
        y = labels.index(f"{r['benchmark']}: {r['name']}") + (-0.16 if r["loop"] == "uvloop" else 0.16)
        colour = LIGHT[colours[r["verdict"]]]
        axes.plot([max(low, LEAST), max(high, LEAST)], [y, y], color=colour, linewidth=1.6, solid_capstyle="round")
        axes.plot([max(middle, LEAST)], [y], "s" if r["loop"] == "uvloop" else "o", color=colour, markersize=4)
    axes.axvline(1, color=LIGHT["ink"], linewidth=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
    axes.set(
        xscale="log", ylim=(-0.7, len(labels) - 0.3), xlabel="cost as a multiple of what is promised: 1 is the bound"
    )
    _plain_ticks(axes.xaxis)
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50) if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    return figure


LEAST = 0.05
"""Where that axis begins: what is less is as good."""


def _against(bound: str, value: float) -> float:
    """Return a figure as a multiple of its bound, above 1 if it is beyond it."""
    direction, number_ = bound.split()
    return value / float(number_) if direction == "<=" else float(number_) / max(value, 1e-3)


PANELS = (
    ("step", "Gs", "A step", "us"),
    ("start", "Gs", "Starting a task", "us"),
    ("memory", "Gs", "A waiting task's memory", "KB"),
    ("switch", "parked Gs", "A switch, beside others that are parked", "us"),
    ("switch", "frames deep", "A switch, by the depth of the stack", "us"),
    ("memory", "frames deep", "A parked G's memory, by the depth of its stack", "KB"),
)
"""Each a cost, over what, its title and its unit."""

LOOPS = {
    "asyncio": ("preemptio, asyncio", "blue", "-"),
    "uvloop": ("preemptio, uvloop", "teal", "-"),
    "stock asyncio": ("asyncio", "red", "--"),
    "stock uvloop": ("uvloop", "amber", "--"),
}


def scale_plot(data: Mapping[str, Any]) -> Any:
    """Plot each cost over the size, with its interval."""
    import matplotlib.pyplot as plt

    records = [r for r in of(data, "scale") if "size" in r.get("data", {}) and r["value"] > 0]
    if not records:
        return None
    figure, panels = plt.subplots(3, 2, figsize=(10, 10), layout="constrained")
    for axes, (cost, axis, title, unit) in zip(panels.flat, PANELS, strict=True):
        for loop, (label, colour, line) in LOOPS.items():
            points = [r for r in records if (r["loop"], r["data"]["axis"], r["data"]["cost"]) == (loop, axis, cost)]
            if points:
                _growth_line(axes, sorted(points, key=lambda r: r["data"]["size"]), label, LIGHT[colour], line)
        axes.set(title=title, xscale="log", yscale="log", xlabel=axis, ylabel=unit)
        shown = [y for line in axes.lines for y in line.get_ydata()] or [1.0]
        low, high = min(shown), max(shown)  # not of an interval: one that begins at nothing would be all of the panel
        axes.set_ylim(low / 2, high * (high / low) ** 0.5 * 2)  # room for the legend above the lines
        axes.minorticks_off()
        _plain_ticks(axes.xaxis)
        _plain_ticks(axes.yaxis)
        if axes.lines:
            axes.legend(loc="upper left", ncols=2)
    return figure


def _growth_line(axes: Any, points: Sequence[Record], label: str, colour: str, line: str) -> None:
    sizes, values = [r["data"]["size"] for r in points], [r["value"] for r in points]
    low, high = ([max(r[end], 1e-3) for r in points] for end in ("low", "high"))
    axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(sizes, values, line, color=colour, marker="o", markersize=4, linewidth=1.8, label=label)


PLOTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "sleep": tail_plot("sleep"),
    "echo": tail_plot("echo"),
    "heat": heat_plot,
    "promises": promises_plot,
    "scale": scale_plot,
}
