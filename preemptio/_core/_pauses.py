"""Pauses: how often and for how long a world was stopped, for one reason."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(slots=True)
class Pauses:
    """Stops for one reason. Times are seconds."""

    count: int = 0
    stopping: float = 0.0  # from the decision until the last G stood, of all stops
    stopping_max: float = 0.0
    total: float = 0.0  # until they went on again
    total_max: float = 0.0

    def add(self, stopping: float, total: float) -> None:
        """Count one stop."""
        self.count += 1
        self.stopping += stopping
        self.stopping_max = max(self.stopping_max, stopping)
        self.total += total
        self.total_max = max(self.total_max, total)

    def copy(self) -> Pauses:
        """Return what it is now."""
        return replace(self)
