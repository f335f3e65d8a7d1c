"""Write docs/events.md from the event table, so that the page cannot say anything else than the program.

Usage:
    python -m preemptio._tools.gen_events           write the page
    python -m preemptio._tools.gen_events --check   exit 1 when the page on disk is not what would be written
"""

import sys
import textwrap
from collections.abc import Iterator, Sequence

from preemptio._events import EVENTS, OF_A_TASK, Event
from preemptio._tools._page import DOCS, write_or_check

PAGE = DOCS / "events.md"
COMMAND = "python -m preemptio._tools.gen_events"

HEAD = f"""\
# Events

<!-- Written by `{COMMAND}` from preemptio/_events.py. Edit the table there, not this page. -->

What preemptio logs, by [structlog](https://www.structlog.org). The names do not change. The logger is `preemptio`, and
so is the field `logger`. Nothing is configured: where the application configures structlog the events go where its own
go, and otherwise to standard error. [How to route them](howto.md#find-out-what-happens).

An event about a task has the context variables of that task (`structlog.contextvars`). None is logged in a signal
handler, nor on top of a task's code: it is said when the loop turns next.

| event | level | when |
| --- | --- | --- |"""


def render() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    for event in EVENTS.values():
        when = event.meaning.partition(". ")[0].rstrip(".")
        yield f"| [`{event.name}`](#{_anchor(event.name)}) | {event.level} | {when} |"
    for event in EVENTS.values():
        yield f"\n## {event.name}\n\n{_filled(event.meaning)}\n\n{_filled('What to do: ' + event.todo)}\n"
        yield f"- Level: {event.level}"
        for name, meaning in event.all_fields().items():
            yield f"- `{name}`: {meaning}{_when(event, name)}"


def _when(event: Event, name: str) -> str:
    return "; absent if it is a callback" if event.task == "perhaps" and name in OF_A_TASK else ""


def _anchor(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def _filled(text: str) -> str:
    return textwrap.fill(text, 110, break_on_hyphens=False, break_long_words=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the page; return the exit status."""
    return write_or_check(PAGE, COMMAND, render(), argv)


if __name__ == "__main__":
    sys.exit(main())
