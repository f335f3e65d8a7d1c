"""Measure the picture in the README, and draw it.

    python docs/make_latency.py            measure for half a minute; write latency.json, latency.svg, README's table
    python docs/make_latency.py --draw     only draw latency.json again
    python docs/make_latency.py --check    exit with 1 if picture or table are not what latency.json gives

What is measured: a timer that is due every 2 ms, beside eight tasks which compute 50 ms at a time between awaits.
Each due time counts, also those that passed while the loop was blocked: a ticker that counted its own wake-ups only
would see one late tick where a user's hundred requests waited. Uses the standard library and preemptio only.
"""

# ruff: noqa: INP001, T201 - a script, not a module of a package; printing is how it talks

import asyncio
import datetime as dt
import gc
import json
import math
import os
import platform
import re
import sys
import textwrap
import time
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import preemptio  # noqa: E402 - from this clone, wherever the script was started

PERIOD, HOGS, JOB, SECONDS = 0.002, 8, 0.05, 8.0
RUNS = (
    ("stock", "asyncio", None),
    ("default", "preemptio, slice 5 ms (default)", 0.005),
    ("short", "preemptio, slice 1 ms", 0.001),
)
QUANTILES = (0.5, 0.9, 0.99, 1.0)
JSON, SVG, README = (os.path.join(HERE, *path) for path in (["latency.json"], ["latency.svg"], ["..", "README.md"]))
BEGIN, END = "<!-- latency: written by docs/make_latency.py -->", "<!-- /latency -->"


# Measuring.


def step(x: int, i: int) -> int:
    """Do one call's worth of work."""
    return (x * 31 + i) & 0xFFFF


def compute(calls: int) -> int:
    """Do a job's worth of work, without an await."""
    x = 1
    for i in range(calls):
        x = step(x, i)
    return x


def calls_in(seconds: float) -> int:
    """Return how many calls fill the time here: the best of some tries, as noise only ever slows."""
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        compute(20_000)
        best = min(best, time.perf_counter() - start)
    return round(20_000 * seconds / best)


async def hog(calls: int) -> None:
    """Compute job after job, with one await between them."""
    while True:
        compute(calls)
        await asyncio.sleep(0)


async def ticker(late: list[float], end: float) -> None:
    """Note for each time that was due how late the loop got to it."""
    due = time.perf_counter() + PERIOD
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        now = time.perf_counter()
        while due <= now:
            late.append(now - due)
            due += PERIOD


async def scene(calls: int) -> list[float]:
    """Put the ticker beside the hogs; return its latenesses."""
    late: list[float] = []
    hogs = [asyncio.create_task(hog(calls)) for _ in range(HOGS)]
    await asyncio.create_task(ticker(late, time.perf_counter() + SECONDS))
    for task in hogs:
        task.cancel()
    await asyncio.wait(hogs)
    return late


def run(slice_: float | None, calls: int) -> list[float]:
    """Play the scene on asyncio's own loop, stock or with the runtime."""
    gc.collect()
    if slice_ is None:
        return asyncio.run(scene(calls))
    with preemptio.config.override(slice=slice_):
        return preemptio.run(scene(calls), loop_factory=lambda: preemptio.new_event_loop(asyncio.SelectorEventLoop))


def quantile(late: list[float], q: float) -> float:
    """Return the lateness that a share of `q` did not exceed. `late` is sorted."""
    return late[min(len(late) - 1, math.ceil(q * len(late)) - 1)]


def measure() -> dict:
    """Measure every run; return what goes into the JSON file."""
    calls = calls_in(JOB)
    series = []
    for key, label, slice_ in RUNS:
        late = sorted(run(slice_, calls))
        points = [i / 200 for i in range(200)] + [0.999, 1.0]
        series.append(
            {
                "key": key,
                "label": label,
                "due": len(late),
                "ms": {f"p{100 * q:g}": round(quantile(late, q) * 1e3, 2) for q in QUANTILES},
                "cdf": [[round(quantile(late, max(p, 1e-9)) * 1e3, 4), p] for p in points],
            }
        )
        print(label, series[-1]["ms"])
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    scene_ = {"period_ms": PERIOD * 1e3, "hogs": HOGS, "job_ms": JOB * 1e3, "seconds": SECONDS, "loop": "asyncio"}
    return {"machine": machine, "scene": scene_, "series": series}


# Drawing.

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 66, 64
DECADES = (-1, 4)  # 0.1 ms to 10 s
STYLE = """
  .card { fill: #ffffff; stroke: #d1d9e0 } .ink { fill: #1f2328 } .soft { fill: #59636e }
  .grid { stroke: #e6eaef } .axis { stroke: #818b98 } .halo { stroke: #ffffff }
  .stock { stroke: #c4432b } .default { stroke: #1f6feb } .short { stroke: #0d7d6c }
  text.stock { fill: #c4432b } text.default { fill: #1f6feb } text.short { fill: #0d7d6c }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d } .ink { fill: #f0f6fc } .soft { fill: #9198a1 }
    .grid { stroke: #21262d } .axis { stroke: #656c76 } .halo { stroke: #0d1117 }
    .stock { stroke: #ff8266 } .default { stroke: #6cb0ff } .short { stroke: #45cfb3 }
    text.stock { fill: #ff8266 } text.default { fill: #6cb0ff } text.short { fill: #45cfb3 }
  }
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; stroke-width: 0 }
  .title { font-size: 16px; font-weight: 600 } .label { font-weight: 600 }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }
"""


def x_of(ms: float) -> float:
    """Return the place of a time on the logarithmic axis."""
    low, high = DECADES
    at = (math.log10(max(ms, 10**low)) - low) / (high - low)
    return LEFT + at * (WIDTH - LEFT - RIGHT)


def y_of(share: float) -> float:
    """Return the place of a share."""
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def text(x: float, y: float, words: str, cls: str, anchor: str = "start") -> str:
    """Return one line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(words)}</text>'


def axes() -> list[str]:
    """Return the grid and what it is labelled with."""
    names = {-1: "0.1 ms", 0: "1 ms", 1: "10 ms", 2: "100 ms", 3: "1 s", 4: "10 s"}
    lines = []
    for decade in range(DECADES[0], DECADES[1] + 1):
        x = x_of(10.0**decade)
        lines.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" class="grid"/>')
        anchor = "end" if decade == DECADES[1] else "middle"
        lines.append(text(x, HEIGHT - BOTTOM + 20, names[decade], "soft", anchor))
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = y_of(share)
        cls = "axis" if share == 0 else "grid"
        lines.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="{cls}"/>')
        lines.append(text(LEFT - 8, y + 4, f"{share:.0%}", "soft", "end"))
    lines.append(
        text(
            (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 18,
            "share of the timers that were served at most this late",
            "soft",
            "middle",
        )
    )
    return lines


def curve(series: dict) -> str:
    """Return the steps of one distribution."""
    points = [(x_of(ms), y_of(share)) for ms, share in series["cdf"]]
    path = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return f'<path d="{path}" class="curve {series["key"]}"/>'


def legend(all_series: list[dict]) -> list[str]:
    """Return one line per curve, with the figure that says most, where no curve passes."""
    lines = []
    for i, series in enumerate(all_series):
        y = y_of(0.62) + 40 * i
        x = x_of(6)
        lines.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}" class="curve {series["key"]}"/>')
        lines.append(text(x + 30, y, series["label"], f"label {series['key']}"))
        lines.append(text(x + 30, y + 16, f"99 % at most {show(series['ms']['p99'])} late", "soft"))
    return lines


def draw(data: dict) -> str:
    """Return the picture."""
    scene_ = data["scene"]
    title = f"How late is a timer beside {scene_['hogs']} tasks that compute?"
    below = (
        f"A timer is due every {scene_['period_ms']:g} ms. Each task computes {scene_['job_ms']:g} ms at a time, "
        "with one await in between."
    )
    body = [
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8" class="card"/>',
        text(24, 30, title, "title ink"),
        text(24, 50, below, "soft"),
        *axes(),
        *(curve(series) for series in data["series"]),
        *legend(data["series"]),
    ]
    description = "; ".join(f"{s['label']}: p99 {show(s['ms']['p99'])}" for s in data["series"])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-labelledby="t d">\n<title id="t">{escape(title)}</title>\n'
        f'<desc id="d">{escape(description)}</desc>\n<style>{STYLE}</style>\n'
    )
    return head + "\n".join(body) + "\n</svg>\n"


def show(ms: float) -> str:
    """Return a time with as many digits as mean something."""
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.1f} ms"


def table(data: dict) -> str:
    """Return the README's table with its marks."""
    rows = ["| | median | 90 % | 99 % | worst |", "| --- | --- | --- | --- | --- |"]
    for series in data["series"]:
        cells = [show(series["ms"][key]) for key in ("p50", "p90", "p99", "p100")]
        rows.append(f"| {series['label']} | {' | '.join(cells)} |")
    machine, scene_ = data["machine"], data["scene"]
    note = (
        f"Measured for {scene_['seconds']:g} s each by `docs/make_latency.py` on asyncio's own loop: CPython "
        f"{machine['python']}, {machine['system']}, {machine['cpus']} CPUs, load {machine['load']}, {machine['date']}. "
        "On stock asyncio a turn of the loop is a job of every task, and a sleep takes several turns."
    )
    return "\n".join([BEGIN, "", *rows, "", *textwrap.wrap(note, 118), "", END])


def with_table(page: str, data: dict) -> str:
    """Return the page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table(data) + after


def read(path: str) -> str:
    """Return a file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path: str, content: str) -> None:
    """Replace a file's text."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def main(words: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    if not words:
        pretty = json.dumps(measure(), indent=1)
        write(JSON, re.sub(r"\[\s+([0-9.]+),\s+([0-9.]+)\s+\](,?)\s*", r"[\1, \2]\3 ", pretty) + "\n")
    data = json.loads(read(JSON))
    made = {SVG: draw(data), README: with_table(read(README), data)}
    if words == ["--check"]:
        stale = [path for path, content in made.items() if read(path) != content]
        print(*(f"{path} is stale: python docs/make_latency.py --draw" for path in stale), sep="\n")
        return 1 if stale else 0
    for path, content in made.items():
        write(path, content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
