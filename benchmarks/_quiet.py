"""What the library reports of a benchmark that does on purpose what a program should not: not shown, all else is."""

from __future__ import annotations

import sys
from typing import Any


def drop(*names: str) -> None:
    """Drop these events, by their names in `preemptio._events`; show what else is said on stderr."""
    import structlog

    from preemptio import _events

    expected = {getattr(_events, name).name for name in names}

    def drop_expected(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["event"] in expected:
            raise structlog.DropEvent
        return event

    shown = [drop_expected, structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)]
    structlog.configure(processors=shown, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
