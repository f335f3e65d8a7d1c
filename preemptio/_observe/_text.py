"""Words for people: names that may hold anything, and times.

A task's name is the user's: it may have newlines, quotes, control codes, a megabyte. A dump is read line by line, by
people and by grep, so a name must stay on its line.

Context: any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

LONGEST: Final = 60
"""Characters of a name that are shown."""

NAMES: Final = 3
"""Names that are shown of tasks which stand alike."""

IDS: Final = 12
"""Numbers, or ranges of numbers, that are shown of them."""


def quoted(name: str) -> str:
    """Return a name in double quotes, on one line, and cut where it is very long."""
    shown = name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
    return '"' + "".join(each if each.isprintable() and each not in '"\\' else _escaped(each) for each in shown) + '"'


def printable(text: str) -> str:
    """Return a text with nothing in it that a terminal would take for a command; its lines stay."""
    return "\n".join(
        line if line.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in line)
        for line in text.split("\n")
    )


def _escaped(char: str) -> str:
    return "\\" + char if char in '"\\' else char.encode("unicode_escape").decode("ascii")


def duration(seconds: float) -> str:
    """Return a time in the unit that says enough: Go has minutes; below one, seconds; "" below a second."""
    for unit, length, until in (("second", 1, 60), ("minute", 60, 120 * 60), ("hour", 3600, 48 * 3600)):
        if seconds < until:
            n = int(seconds / length)
            return "" if n == 0 else f"{n} {unit}{'s' * (n != 1)}"
    return f"{int(seconds / 86400)} days"


def counted(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def brackets(words: Sequence[str], ages: Sequence[float]) -> str:
    """Return what stands in the brackets behind tasks: their state, how long at the most, what else there is."""
    longest, shortest = duration(max(ages)), duration(min(ages))
    times = [longest if longest == shortest else f"up to {longest}"] * bool(longest)
    return f"[{', '.join([*words[:1], *times, *words[1:]])}]"


def together(nodes: Sequence[str], names: Sequence[str]) -> str:
    """Return one task as `G 12 "name"`, several as `3 tasks G 12-14 "name", ...`."""
    if len(nodes) == 1:
        return f"{nodes[0]} {quoted(names[0])}"
    kind = nodes[0].partition(" ")[0]
    shown = ", ".join(quoted(name) for name in names[:NAMES]) + ", ..." * (len(names) > NAMES)
    return f"{len(nodes)} tasks {kind} {numbers(nodes)} {shown}"


def numbers(nodes: Iterable[str]) -> str:
    """Return the numbers of nodes, runs of them as `5-9`, and not too many."""
    ranges = list(_ranges(int(node.split()[1]) for node in nodes))
    return ", ".join(ranges[:IDS]) + ", ..." * (len(ranges) > IDS)


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    start = end = None
    for n in [*sorted(numbers), None]:
        if end is not None and n == end + 1:
            end = n
            continue
        if start is not None:
            yield str(start) if start == end else f"{start}-{end}"
        start = end = n
