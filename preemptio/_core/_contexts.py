"""Contexts that parked steps have entered, and who waits for them.

A Context can be entered once. A step that is parked leaves its own entered, and tasks may share one. What wants to
enter it meanwhile waits until that step ends, and keeps its order.

Context: hub and carriers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from preemptio._core._parked import entered_context

if TYPE_CHECKING:
    from preemptio._core._parked import Step


class BlockedContexts(dict[int, list[Callable[[], object]]]):
    """By identity of an entered context: how to queue again what waits for it."""

    def enter(self, step: Step) -> None:
        """Note that a step is about to be parked."""
        self.setdefault(id(entered_context(step)), [])

    def left(self, step: Step | None) -> None:
        """Note that a parked step has ended: its context is free again. On its carrier, before it retires."""
        if step is not None:
            for queue_again in self.pop(id(entered_context(step)), ()):
                queue_again()

    def wait(self, context: object, queue_again: Callable[[], object]) -> bool:
        """Hold something back until the parked step that has entered `context` ends; False if there is none."""
        waiting = self.get(id(context))
        if waiting is None:
            return False
        waiting.append(queue_again)
        return True
