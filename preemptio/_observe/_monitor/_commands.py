"""The console's commands. What they do is `_control.py`'s; here is what is typed, and how the answer is laid out.

They are added to aiomonitor's own when this file is imported, which is once.

Context: the monitor's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from prompt_toolkit.application.current import get_app_session

from preemptio._observe._monitor._aiomonitor import monitor_cli
from preemptio._observe._monitor._control import HELD, SCANNED, Control
from preemptio._observe._monitor._params import G_ID, command, is_dumb
from preemptio._observe._monitor._rows import BY_NAME, COLUMNS, FILTERS, Column, shown, table
from preemptio._observe._monitor._top import Top, pressed
from preemptio._observe._text import counted, printable

if TYPE_CHECKING:
    from preemptio._core._g import G

LONGEST: Final = 48
"""Characters of a cell."""

ONE_G: Final = click.argument("g", type=G_ID, metavar="ID")
PERHAPS_A_G: Final = click.argument("g", type=G_ID, metavar="[ID]", required=False)
SORT: Final = click.option("-s", "--sort", type=click.Choice(list(BY_NAME)), default="id", help="by this column")
ROWS: Final = click.option(
    "-n", "--limit", type=click.IntRange(0), default=1000, show_default=True, help="so many rows at most; 0: all"
)
MATCH: Final = click.option("-f", "--filter", "match", default="", help="with this in the name, or in CREATED AT")


def _timeout(default: float) -> Any:
    return click.option(
        "-t", "--timeout", type=click.FloatRange(0.01, 3600), default=default, show_default=True, help="seconds"
    )


def laid_out(rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> Iterator[str]:
    """Yield the lines of a table; a column that is empty in every row is left out, a G's number never."""
    cells = [[_cut(shown(column, row[column.name])) for column in columns] for row in rows]
    used = [i for i, column in enumerate(columns) if column.name == "id" or any(_says(row[i]) for row in cells)]
    lines = [[columns[i].title for i in used], *([row[i] for i in used] for row in cells)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(used))]
    numbers = [rows and not isinstance(rows[0][columns[i].name], str) for i in used]
    form = "  ".join(f"{{:{'>' if number else '<'}{width}}}" for width, number in zip(widths, numbers, strict=True))
    for line in lines:
        yield form.format(*line).rstrip()


def _says(cell: str) -> bool:
    return cell not in {"", "0"}


def _cut(text: str) -> str:
    """Keep a cell on its line: names may hold anything. Of a place its end says more."""
    line = text if text.isprintable() else printable(text).replace("\n", "\\n")
    if len(line) <= LONGEST:
        return line
    return f"...{line[3 - LONGEST :]}" if "/" in line[: LONGEST // 2] else f"{line[: LONGEST - 3]}..."


@command(
    "gs",
    SORT,
    click.option("-r", "--reverse", is_flag=True, help="in the opposite order"),
    click.option("--status", type=click.Choice(FILTERS), help="only these"),
    MATCH,
    ROWS,
)
async def _gs(control: Control, sort: str, reverse: bool, status: str | None, match: str, limit: int) -> list[str]:
    """List the Gs: what each does, for how long, and what it has used."""
    found = table(control.loop, status=status or "", match=match, sort=BY_NAME[sort], reverse=reverse, limit=limit)
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.by_status.items(), key=lambda item: -item[1]))
    head = f"{counted(found.total, 'G')}: {counts}" if counts else "no Gs"
    some = f"; {found.matching} match, {len(found.rows)} shown" if len(found.rows) < found.total else ""
    return [head + some, *control.head(), *(laid_out(found.rows, COLUMNS) if found.rows else [])]


@command("g", ONE_G)
async def _g(control: Control, g: G) -> str:
    """Tell everything about one G."""
    return await control.about(g)


@command("gstack", ONE_G)
async def _gstack(control: Control, g: G) -> str:
    """Show where a G stands, wherever that is."""
    return str(control.stack(g)).rstrip()


@command(
    "gtop",
    click.option("-n", "--times", type=click.IntRange(1), help="so often; else until q is typed, in a pipe once"),
    click.option(
        "-d", "--delay", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="seconds in between"
    ),
    click.option("-l", "--limit", type=click.IntRange(1), default=15, show_default=True, help="so many rows at most"),
)
async def _gtop(control: Control, times: int | None, delay: float, limit: int) -> None:
    """Show live who uses the CPU; q or Ctrl-C ends it."""
    session, live = get_app_session(), not is_dumb()
    top, left = Top(control.loop), times if times is not None else 0 if live else 1
    with pressed(session.input, live) as stop:
        while True:
            try:
                await asyncio.wait_for(stop.wait(), delay)
            except TimeoutError:
                rows, columns = top.rows(limit)
                clear = "\x1b[H\x1b[J" if live and times is None else ""
                quits = ["q ends it"] * (left == 0)
                click.echo(clear + "\n".join([*control.head(), *laid_out(rows, columns), *quits]))
                left -= 1
                if left != 0:
                    continue
            return


@command("gwhy", PERHAPS_A_G)
async def _gwhy(control: Control, g: G | None) -> str:
    """Tell why a G is not preempted: by default the one that has the CPU."""
    return await control.why(g)


@command("gwaits")
async def _gwaits(control: Control) -> str:
    """Show who waits for whom."""
    return await control.waits()


@command("gdump", click.option("-a", "--all", "every", is_flag=True, help="Gs that stand alike, too"), _timeout(1.0))
async def _gdump(control: Control, every: bool, timeout: float) -> str:  # noqa: ASYNC109 - the loop's, not ours
    """Show all Gs with their stacks."""
    return await control.dump(group=not every, timeout=timeout)


@command("gpreempt", ONE_G, _timeout(HELD))
async def _gpreempt(control: Control, g: G, timeout: float) -> str:  # noqa: ASYNC109
    """Take the CPU from a G at its next safe point."""
    return await control.preempt(g, timeout)


@command(
    "gnice",
    ONE_G,
    click.argument("value", type=int),
)
async def _gnice(control: Control, g: G, value: int) -> str:
    """Give a G another weight, -20 to 19: each step of +1 is a fifth less CPU beside others.

    For a negative one type: gnice ID -- -5
    """
    return await control.nice(g, value)


@command("gsuspend", ONE_G, _timeout(HELD))
async def _gsuspend(control: Control, g: G, timeout: float) -> str:  # noqa: ASYNC109
    """Hold a G still, at a safe point, until gresume."""
    return await control.suspend(g, timeout)


@command("gresume", ONE_G)
async def _gresume(control: Control, g: G) -> str:
    """Let a G go on that gsuspend holds."""
    return await control.resume(g)


@command("gcancel", ONE_G)
async def _gcancel(control: Control, g: G) -> str:
    """Cancel a G's task."""
    return await control.cancel(g)


@command("groots", ONE_G, _timeout(HELD))
async def _groots(control: Control, g: G, timeout: float) -> str:  # noqa: ASYNC109
    """List what a G refers to: its variables, its context, what it awaits."""
    return await control.roots(g, timeout)


@command("gretained", PERHAPS_A_G, _timeout(SCANNED))
async def _gretained(control: Control, g: G | None, timeout: float) -> str:  # noqa: ASYNC109
    """Tell how much memory each G keeps alive, or one in detail."""
    return await control.retained(g, timeout)


@command("gleaks", _timeout(SCANNED))
async def _gleaks(control: Control, timeout: float) -> str:  # noqa: ASYNC109
    """Find the Gs that wait for what nothing can complete any more."""
    found = await control.leaks(timeout)
    return "\n".join(map(str, found)) or "no G is leaked"


@monitor_cli.group(name="gtrace")  # type: ignore[untyped-decorator]
def _gtrace() -> None:
    """Record what the scheduler does: start, stop, save."""


@command("start", click.argument("seconds", type=float, default=10.0), group=_gtrace)
async def _gtrace_start(control: Control, seconds: float) -> str:
    """Record the last SECONDS (10) in memory, from now on."""
    return await control.record(seconds)


@command("stop", group=_gtrace)
async def _gtrace_stop(control: Control) -> str:
    """Record no more, and forget what was recorded."""
    return await control.stop_recording()


@command("save", click.argument("path", type=click.Path()), group=_gtrace)
async def _gtrace_save(control: Control, path: str) -> str:
    """Write what was recorded, in the server's file system: .json, .pftrace or .ptrace."""
    return await control.save(path)
