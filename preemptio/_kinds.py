"""The kinds of values that a knob may have: each knows one grammar, for variables and for assigned values alike.

Context: any thread. Not for signal handlers: reading allocates and may raise.
"""

import re
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
NameT = TypeVar("NameT", bound=str)


class Kind(Protocol[T]):
    """One grammar, for the text of a variable and for an assigned value alike.

    `parse` refuses with ValueError, saying why; the knob adds whose value it was and what to type instead.
    """

    @property
    def accepts(self) -> str:
        """What a value may be, as the end of a sentence that starts with "Accepted:"."""

    def parse(self, value: object) -> T:
        """Return the value in the form the program uses."""

    def show(self, value: T) -> str:
        """Return the text which `parse` reads as this value."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds as a float. A bare number is seconds, because that is what `asyncio` and `time` mean by one."""

    low: float
    high: float

    _TEXT = re.compile(r"(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)\s*(?P<unit>us|ms|s|)")
    # Divisors, not factors: 200 / 1e6 is the float nearest to 0.0002, 200 * 1e-6 is not.
    _PER_SECOND = (("s", 1.0), ("ms", 1e3), ("us", 1e6))

    @property
    def accepts(self) -> str:
        span = f"a time from {self.show(self.low)} to {self.show(self.high)}"
        return f"{span}, written with us, ms or s (200us, 1ms, 0.005s) or as a number of seconds (0.001)"

    def parse(self, value: object) -> float:
        seconds = value
        if isinstance(value, str) and (match := self._TEXT.fullmatch(value)):
            seconds = float(match["number"]) / dict(self._PER_SECOND)[match["unit"] or "s"]
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise ValueError("it is not a time")
        if not self.low <= seconds <= self.high:  # also refuses nan, which compares false to everything
            raise ValueError(f"it is not between {self.show(self.low)} and {self.show(self.high)}")
        return float(seconds)

    def show(self, value: float) -> str:
        for unit, per_second in self._PER_SECOND:
            if value * per_second >= 1:
                return f"{value * per_second:g}{unit}"
        return "0s"


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number in a range. Booleans are refused: `budget = True` is a mistake, not 1."""

    low: int
    high: int

    @property
    def accepts(self) -> str:
        return "0 or 1" if (self.low, self.high) == (0, 1) else f"a whole number, {self.low} to {self.high}"

    def parse(self, value: object) -> int:
        # Not int(text) alone: that also takes "1_000", " 1 " and digits of other scripts.
        number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]+", value) else value
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError("it is not a whole number")
        if not self.low <= number <= self.high:
            raise ValueError(f"it is not between {self.low} and {self.high}")
        return number

    def show(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Lottery:
    """A seed and a share, for what is done at random and must be repeatable. () is none."""

    @property
    def accepts(self) -> str:
        return "SEED:SHARE, a whole number and a number from 0 to 1, as in 7:0.01"

    def parse(self, value: object) -> tuple[int, float] | tuple[()]:
        if value == ():
            return ()
        if isinstance(value, str) and (match := re.fullmatch(r"([0-9]+):([0-9]*\.?[0-9]+)", value)):
            value = int(match[1]), float(match[2])
        if not isinstance(value, tuple) or [type(part) for part in value] != [int, float]:
            raise ValueError("it is not a seed and a share")
        seed, share = value
        if not 0 <= share <= 1:
            raise ValueError("the share is not between 0 and 1")
        return seed, share

    def show(self, value: tuple[int, float] | tuple[()]) -> str:
        return ":".join(map(str, value))


@dataclass(frozen=True)  # slots would break Generic's Name[...](...) on CPython 3.11 and 3.12
class Choice(Generic[NameT]):
    """One of a few names, spelt exactly so."""

    names: tuple[NameT, ...]

    @property
    def accepts(self) -> str:
        return f"one of {', '.join(self.names)}"

    def parse(self, value: object) -> NameT:
        for name in self.names:
            if name == value:
                return name
        raise ValueError("there is no such choice")

    def show(self, value: NameT) -> str:
        return value
