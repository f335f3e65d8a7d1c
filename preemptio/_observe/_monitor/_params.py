"""What the console's commands take: a G by its number, with completion; and how a command is made one.

aiomonitor runs click in the thread of its own loop, whole commands at a time: click keeps its context in a variable of
the thread, which is taken back before another command begins. So a command that awaits something must have left click
by then: it gets what it needs as arguments, and goes on as a task. The connection it writes to is in a context
variable, which the task inherits; so two commands at once write each to its own.

aiomonitor's prompt comes back when the event `command_done` is set, which its own help option does before the command
has begun. So the command clears it, and its task sets it, whatever becomes of it.

Context: the monitor's loop.
"""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem
from prompt_toolkit.application.current import get_app_session

from preemptio._aio._inspect import gs_of
from preemptio._observe._monitor._aiomonitor import (
    command_done,
    current_monitor,
    custom_help_option,
    monitor_cli,
    print_fail,
)
from preemptio._observe._monitor._ask import Unable
from preemptio._observe._monitor._rows import status_of
from preemptio._observe._text import printable, quoted

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._observe._monitor._control import Control

MOST: Final = 50
"""Completions that are shown."""


if TYPE_CHECKING:
    Param = click.ParamType[Any]
else:
    Param = click.ParamType  # which older versions cannot subscript


class GParam(Param):
    """A G, by its number."""

    name = "ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> G:
        """Return the G.

        Raises:
            BadParameter: there is none, or it is no number.
        """
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # click hands on what was converted before
        number = value.removeprefix("G").strip()
        if not number.isdecimal():
            self.fail(f"{value!r} is not the number of a G; type: gs", param, ctx)
        try:
            return control_of(ctx.find_root().obj if ctx is not None else None).g(int(number))
        except Unable as why:
            self.fail(str(why), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the numbers that begin so; the context that click makes for this has no monitor."""
        control = getattr(current_monitor.get(None), "control", None)
        gs = [] if control is None else gs_of(control.loop)
        matching = [g for g in gs if str(g.id).startswith(incomplete)]
        return [CompletionItem(str(g.id), help=f"{quoted(g.name)} {status_of(g)}") for g in matching[:MOST]]


G_ID: Final = GParam()


def control_of(monitor: Any) -> Control:
    """Return the commands of a monitor of ours.

    Raises:
        UsageError: it is a plain one of aiomonitor, in the same process.
    """
    control: Control | None = getattr(monitor, "control", None)
    if control is None:
        msg = "this monitor is aiomonitor's own; for Gs start it by: from preemptio import monitor; monitor.start(loop)"
        raise click.UsageError(msg)
    return control


def is_dumb() -> bool:
    """Report whether the terminal of this connection is one that only takes lines: a pipe, in most cases."""
    return getattr(get_app_session().output, "term", "dumb") == "dumb"


def fail(message: str) -> None:
    """Say what is wrong."""
    message = printable(message)
    if is_dumb():
        click.echo(f"error: {message}")
    else:
        print_fail(message)


Body = Callable[..., Awaitable[str | Iterable[str] | None]]
"""What a command does: its lines, or None if it has written them itself."""


def command(name: str, *params: Callable[[Any], Any], group: Any = monitor_cli) -> Callable[[Body], Body]:
    """Make a coroutine function a command of the console; its docstring is the help.

    Args:
        name: what is typed.
        params: click's decorators, in the order in which the words are typed.
        group: the command that it is below.
    """

    def make(body: Body) -> Body:
        @functools.wraps(body)
        def begin(ctx: click.Context, /, **arguments: Any) -> None:
            monitor: Any = ctx.find_root().obj
            done = command_done.get()
            control = control_of(monitor)
            done.clear()
            task = asyncio.get_running_loop().create_task(_do(body, control, done, arguments))
            monitor._termui_tasks.add(task)
            monitor.commands.add(task)  # aiomonitor's set is a weak one
            task.add_done_callback(monitor.commands.discard)

        decorated: Any = custom_help_option(begin)
        for param in reversed(params):
            decorated = param(decorated)
        group.command(name=name)(decorated)
        return body

    return make


async def _do(body: Body, control: Control, done: asyncio.Event, arguments: dict[str, Any]) -> None:
    try:
        said = await body(control, **arguments)
        if said is not None:
            click.echo(printable(said if isinstance(said, str) else "\n".join(said)))
    except Unable as why:
        fail(str(why))
    except Exception:
        fail(traceback.format_exc())
    finally:
        done.set()
