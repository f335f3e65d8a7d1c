"""demo: the same server under the same load, on a plain loop and on a preempted one.

This file only decides what is measured and who shows it: JSON for programs, `_demo_view` for people. What rich is
needed for is refused before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from preemptio._aio._loops import uvloop_class
from preemptio._cli._demo_app import CRUNCH, points_for
from preemptio._cli._demo_measure import Plan, measure
from preemptio._cli._demo_stats import Run, figures
from preemptio._cli._run import base_named
from preemptio._compat import check_interpreter
from preemptio._config import Config, config

MODES = ("plain", "preempted")
SLICE = 0.001
"""Shorter than the knob's default: the demo is about delays."""


def demo(options: argparse.Namespace) -> int:
    """Measure and show; return the exit status."""
    check_interpreter()
    base_named(options.loop)  # refuses uvloop where there is none
    if options.json:
        plan = _plan(options)
        runs = {mode: measure(mode, plan) for mode in plan.modes}
        print(json.dumps(_document(plan, runs), indent=2))
    else:
        from preemptio._cli._demo_view import show

        show(_plan(options), no_color=options.no_color)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    set_by_hand = os.environ.get(Config.slice.env, "").strip()
    return Plan(
        modes=(options.only,) if options.only else MODES,
        loop="uvloop" if options.loop != "asyncio" and uvloop_class() else "asyncio",
        seconds=options.seconds,
        slice=options.slice or (config.slice if set_by_hand else SLICE),
        points=points_for(CRUNCH),
    )


def _document(plan: Plan, runs: dict[str, Run]) -> dict[str, Any]:
    """Return the figures; times are in seconds."""
    found: dict[str, Any] = {"loop": plan.loop, "slice": plan.slice, "seconds": plan.seconds}
    return found | {mode: figures(run) for mode, run in runs.items()}
