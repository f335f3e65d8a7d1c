"""Run every check on every CPython of this machine; `make test` and CI are this file.

Problem: preemptio depends on the insides of the interpreter, so a run on one version says nothing about the
next version.
What we do: find each CPython >= 3.11, give each its own environment under .venv/, and run the table `STEPS`:
what rests on the insides of the interpreter on every version, the rest where it says most (`On`), so that it takes ten
minutes; `--everywhere` runs all on all. As many steps run side by side as there are processors; each is one process, so
that none has to share its own. What a step writes is shown when it ends, or as it comes if it runs alone.
A failed step does not stop the rest. The end lists each failure with the command that repeats it alone.
Uses the standard library only: it is what installs everything else.
"""

import argparse
import concurrent.futures
import contextlib
import enum
import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
EXTRAS = ".[all,bench,test]"


class On(enum.Enum):
    """The Pythons that a step is run on, unless everything is to be run on all."""

    OLDEST = "the oldest: the answer is the same on all"
    NEWEST = "the newest: what rests on the surface of the library, and on other people's packages"
    ENDS = "the oldest and the newest: what rests on the insides of the interpreter, and takes minutes"
    ALL = "all: what rests on the insides of the interpreter"


@dataclass(frozen=True)
class Step:
    """One command, of one process at a time. `arguments` follow the environment's Python; `limit` is in seconds."""

    name: str
    arguments: str
    on: On = On.ALL
    limit: int = 900
    environ: dict[str, str] = field(default_factory=dict)
    extra: str = ""  # of pyproject.toml's, for an environment of its own; skipped where that cannot be made


LOOPS = "tests/behaviour tests/core tests/observe tests/preempt"

STEPS = (
    Step("lint", "-m ruff check .", On.OLDEST),
    Step("format", "-m ruff format --check .", On.OLDEST),
    Step("types", "-m mypy --strict preemptio", On.OLDEST),
    Step("knobs-page", "-m preemptio._tools.gen_knobs --check", On.OLDEST),
    Step("metrics-page", "-m preemptio._tools.gen_metrics --check", On.OLDEST),
    Step("events-page", "-m preemptio._tools.gen_events --check", On.OLDEST),
    Step("programs", "-m pytest tests/programs", On.ENDS),
    Step("surface", "-m pytest tests/benchmarks tests/cli tests/docs tests/examples tests/meta", On.NEWEST),
    Step("ray", "-m pytest tests/neighbours/test_ray.py tests/examples -k ray", On.NEWEST, extra="ray-test"),
    Step("loops", f"-m pytest {LOOPS}"),
    Step("cpython", "tests/cpython/run.py"),
    Step("asyncio-debug", f"-m pytest {LOOPS} -m loop", On.OLDEST, environ={"PYTHONASYNCIODEBUG": "1"}),
    Step("scan", "-m pytest tests/scan"),  # walks the heap: in a process that has little on it it takes less time
    Step("monitor", "-m pytest tests/monitor", On.ENDS),
    Step("neighbours", "-m pytest tests/neighbours", On.NEWEST),
    Step("services", "-m pytest tests/servers", On.NEWEST),
    Step("page", "-m pytest tests/page", On.NEWEST),
)
"""Longest first, as far as it matters: what is begun last is waited for alone."""


@dataclass(frozen=True)
class Python:
    """An interpreter that can be tested with."""

    version: tuple[int, int, int]
    path: str  # of the interpreter itself, not of a shim or a virtual environment
    extra: str = ""  # of pyproject.toml's, what its environment has besides EXTRAS

    @property
    def name(self) -> str:
        return f"py{self.version[0]}.{self.version[1]}{self.extra and '-'}{self.extra}"

    @property
    def environment(self) -> Path:
        return ROOT / ".venv" / self.name


@dataclass(frozen=True)
class Failure:
    """A step that did not pass, in words, and the command that runs just it."""

    what: str
    command: str


# Finding interpreters.

PROBE = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "path": getattr(sys, "_base_executable", sys.executable),
    "version": sys.version_info[:3],
    "cpython": sys.implementation.name == "cpython",
    "final": sys.version_info.releaselevel == "final",
    "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "venv": all(map(importlib.util.find_spec, ["venv", "ensurepip"])),
}))
"""


def candidates() -> list[Path]:
    """Return whatever is called python3.N here, pyenv's versions first, then PATH."""
    places = sorted(Path.home().glob(".pyenv/versions/*/bin"))
    places += [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    found = [path for place in places for path in sorted(place.glob("python3.*"))]
    wanted = (path for path in found if re.fullmatch(r"python3\.[0-9]+", path.name))
    return list(dict.fromkeys(path for path in wanted if int(path.name.partition(".")[2]) >= OLDEST[1]))


def refusal(about: dict[str, bool]) -> str | None:
    """Return why an interpreter is of no use to us, or None."""
    if not about["cpython"]:
        return "not CPython"
    if not about["final"]:
        return "a pre-release"
    if not about["gil"]:
        return "a free-threaded build, which preemptio does not run on"
    if not about["venv"]:
        return "has no venv or ensurepip"
    return None


def find_pythons() -> tuple[list[Python], list[str]]:
    """Return one interpreter per minor version, oldest first, and a line for each one left out and why.

    Of several patch releases the newest is taken.
    """
    left_out = []
    best: dict[tuple[int, int], Python] = {}
    for path in candidates():
        probe = subprocess.run([path, "-I", "-c", PROBE], capture_output=True, text=True, check=False)
        if probe.returncode:
            # Nearly always a pyenv shim for a version that is not switched on; it has been found already.
            left_out.append(f"skipped {path}: does not start")
            continue
        about = json.loads(probe.stdout)
        if why := refusal(about):
            left_out.append(f"skipped {path}: {why}")
            continue
        python = Python(tuple(about["version"]), about["path"])
        if python.version > best.get(python.version[:2], Python((0, 0, 0), "")).version:
            best[python.version[:2]] = python
    return [best[key] for key in sorted(best)], left_out


# Making environments.


def prepare(python: Python, log: TextIO) -> Path:
    """Make the environment unless it is up to date; return its interpreter.

    The stamp is written last, so an interrupted installation is started again from nothing.

    Raises:
        OSError: making it failed; the output has been copied to the log.
    """
    interpreter = python.environment / "bin" / "python"
    stamp = python.environment / "preemptio-stamp"
    # ROOT is in it because an environment holds absolute paths: a clone that was moved needs a new one.
    extras = f"{EXTRAS[:-1]},{python.extra}]" if python.extra else EXTRAS
    made_of = f"{python} {ROOT} {extras}".encode() + (ROOT / "pyproject.toml").read_bytes()
    wanted = hashlib.sha256(made_of).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return interpreter
    print(f"making {python.environment.relative_to(ROOT)} with {python.path}", file=log, flush=True)
    stamp.unlink(missing_ok=True)
    venv = [python.path, "-m", "venv", "--clear", python.environment]
    pip = [interpreter, "-m", "pip", "-q", "--no-input", "--disable-pip-version-check"]
    for command in (venv, [*pip, "install", "-e", extras]):
        # pip complains about index locations that do not exist here; that is of interest only if it fails.
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if made.returncode:
            log.write(made.stdout + made.stderr)
            raise OSError(f"exit status {made.returncode} from {shlex.join(map(str, command))}")
    stamp.write_text(wanted)
    return interpreter


# Running steps.

COUNT = re.compile(r"([0-9]+) (passed|failed|errors?)\b")
SUMMARY = re.compile(r"^(=+ )?[0-9]+ [a-z]+(, [0-9]+ [a-z]+)* in [0-9.]+s")


def environ_for(step: Step) -> dict[str, str]:
    """Return the environment without what would make this run differ from another person's.

    PYTHONDONTWRITEBYTECODE among it: hundreds of programs would compile the library anew.
    """
    private = re.compile("PREEMPTIO_.*|PYTEST_ADDOPTS|PYTHON.*|VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not private.fullmatch(name)}
    return kept | {"PYTHONUNBUFFERED": "1"} | step.environ


RUNNING: set[subprocess.Popen] = set()
"""Steps that run, for Ctrl-C to end; written by the threads that run them."""


def run_step(step: Step, interpreter: Path, log: TextIO) -> tuple[str, str]:
    """Run one step, copying its output as it comes; return why it failed ("" if not) and pytest's summary."""
    process = subprocess.Popen(
        [interpreter, *shlex.split(step.arguments)],
        cwd=ROOT,
        env=environ_for(step),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    RUNNING.add(process)
    out_of_time = threading.Event()
    timer = threading.Timer(step.limit, lambda: (out_of_time.set(), kill(process)))
    timer.start()
    summary = ""
    try:
        for line in process.stdout:
            log.write(line)
            log.flush()
            summary = line if SUMMARY.match(line) else summary
        status = process.wait()
    finally:
        timer.cancel()
        RUNNING.discard(process)
    if out_of_time.is_set():
        return f"stopped after {step.limit} s", summary
    return f"exit status {status}" if status else "", summary


def kill(process: subprocess.Popen) -> None:
    """End a step with all it started: a child left over would keep the pipe open, and us waiting."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Report:
    """What is said while the steps run, and the account given at the end."""

    def __init__(self, log: TextIO) -> None:
        self.log = log
        self.lock = threading.Lock()  # for what one step says not to be mixed with another's
        self.started = time.monotonic()
        self.passed = 0
        self.failed = 0
        self.failures: list[Failure] = []

    def heading(self, text: str) -> None:
        print(f"\n##### {text}", file=self.log, flush=True)

    def record(self, what: str, command: str, why: str, summary: str, seconds: float) -> None:
        """Note the end of one step.

        A failure pytest has not counted (of another tool, or of pytest itself when it crashed) counts as one,
        so that the last line cannot end in "0 failed" after a run that failed.
        """
        counts = {word.rstrip("s"): int(number) for number, word in COUNT.findall(summary)}
        failed = counts.get("failed", 0) + counts.get("error", 0)
        self.passed += counts.get("passed", 0)
        self.failed += max(failed, 1) if why else failed
        if why:
            self.failures.append(Failure(f"{what}: {why}", command))
        print(f"##### {what}: {why or 'ok'} ({seconds:.1f} s)", file=self.log, flush=True)

    def close(self) -> int:
        """Write the account; return the exit status."""
        self.heading(f"done in {time.monotonic() - self.started:.0f} s")
        for failure in self.failures:
            print(f"FAILED {failure.what}\n  to repeat: {failure.command}", file=self.log)
        print(f"{self.passed} passed, {self.failed} failed", file=self.log, flush=True)
        return 1 if self.failures else 0


FAULT_INJECTION = ("preemptall=1", "preemptrandom=1:0.05")
"""What PREEMPTIO_DEBUG is for `make fault-injection`: all tests twice, a quarter of an hour."""


def injected(steps: list[Step]) -> list[Step]:
    """Return those of the steps that run tests on loops, each under each kind of fault injection."""
    tests = [step for step in steps if step.arguments.startswith("-m pytest") and not step.environ and not step.extra]
    return [
        replace(step, name=f"{setting} {step.name}", limit=2 * step.limit, environ={"PREEMPTIO_DEBUG": setting})
        for setting in FAULT_INJECTION
        for step in tests
    ]


def run_one(python: Python, step: Step, report: Report, *, alone: bool) -> None:
    """Run one step and say how it went."""
    python = replace(python, extra=step.extra)
    interpreter = python.environment / "bin" / "python"
    settings = [f"{name}={shlex.quote(value)}" for name, value in step.environ.items()]
    command = " ".join([*settings, str(interpreter.relative_to(ROOT)), step.arguments])
    heading = f"{python.name}: {step.name}"
    log = report.log if alone else io.StringIO()
    with report.lock:
        report.heading(f"{heading}: {command}" if alone else f"{heading}: begins")
    started = time.monotonic()
    if step.extra:
        try:
            prepare(python, log)
        except OSError as error:
            with report.lock:
                report.heading(f"{heading}: skipped, its packages do not install here: {error}")
            return
    why, summary = run_step(step, interpreter, log)
    with report.lock:
        if not alone:
            report.heading(f"{heading}: {command}")
            report.log.write(log.getvalue())
        report.record(heading, command, why, summary, time.monotonic() - started)


def run_all(pythons: list[Python], steps: list[Step], report: Report, jobs: int, *, everywhere: bool = False) -> int:
    """Run each step on each Python it is meant for, or on all, so many at a time; return the exit status."""
    report.heading("environments")
    with concurrent.futures.ThreadPoolExecutor() as pool:  # pip waits for the network half of its time
        made = [pool.submit(prepare, python, report.log) for python in pythons]
    usable = []
    for python, environment in zip(pythons, made, strict=True):
        if (error := environment.exception()) is None:
            usable.append(python)
            continue
        again = f"make test ARGS='--python {python.name[2:]}'"
        report.record(f"{python.name}: environment", again, str(error), "", time.monotonic() - report.started)
    meant = {On.OLDEST: pythons[:1], On.NEWEST: pythons[-1:], On.ENDS: [pythons[0], pythons[-1]], On.ALL: pythons}
    work = [(python, step) for step in steps for python in usable if everywhere or python in meant[step.on]]
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        alone = jobs == 1 or len(work) == 1
        for each in [pool.submit(run_one, *one, report, alone=alone) for one in work]:
            each.result()
    except BaseException:  # Ctrl-C reaches us but not another session
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(RUNNING):
            kill(process)
        raise
    return report.close()


def main() -> int:
    """Read the command line and run; return the exit status."""
    parser = argparse.ArgumentParser(description="Run every check on every CPython >= 3.11 of this machine.")
    names = [step.name for step in STEPS]
    parser.add_argument("--python", action="append", metavar="3.X", help="only this version; may be repeated")
    parser.add_argument("--step", action="append", choices=names, help="only this step; may be repeated")
    only = "only make the environment of the newest version, and print its interpreter"
    parser.add_argument("--environment", action="store_true", help=only)
    parser.add_argument("--extra", default="", help="with --environment: one of its own that has this extra, too")
    injection = "the whole suite under fault injection, on the newest version unless --python says another"
    parser.add_argument("--fault-injection", action="store_true", help=injection)
    parser.add_argument("--everywhere", action="store_true", help="every step on every Python: twice the time")
    jobs = os.cpu_count() or 1
    parser.add_argument("--jobs", type=int, default=jobs, metavar="N", help=f"so many steps at a time; {jobs} here")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: at least 1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; some tests are about Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    pythons, left_out = find_pythons()
    if options.python:
        pythons = [python for python in pythons if python.name[2:] in options.python]
    if not pythons:
        wanted = " or ".join(options.python or ["3.11 or newer"])
        found = "\n".join([*left_out, f"Found no CPython {wanted}."])
        sys.exit(f"{found} Install one, for instance: pyenv install 3.13")
    if options.environment:
        try:
            print(prepare(replace(pythons[-1], extra=options.extra), sys.stderr))
        except OSError as error:
            sys.exit(f"No environment: {error}")
        return 0
    print(*left_out, *(f"testing {python.name} with {python.path}" for python in pythons), sep="\n")
    steps = [step for step in STEPS if step.name in (options.step or names)]
    if options.fault_injection:
        pythons, steps = pythons if options.python else pythons[-1:], injected(steps)
    return run_all(pythons, steps, Report(sys.stdout), options.jobs, everywhere=options.everywhere)


if __name__ == "__main__":
    sys.exit(main())
