"""ASGI middleware: budgets and priorities of requests. `from preemptio.asgi import CPUBudget`."""

from preemptio._aio._asgi import CPUBudget as CPUBudget
