"""CPython's own test.test_asyncio, run against our event loop.

    python tests/cpython/run.py [--loop preemptio|stock|MODULE:ATTR] [--jobs 2] [-v] [module ...]

Problem. Our loop replaces the innermost turn of asyncio's. Nobody can list from memory what asyncio promises
there; CPython's 2,400 tests are that list.

What does not work. Collecting them in our pytest: they set policies, signal handlers and child watchers for
the whole process, and a loop that hangs, or crashes in C, takes the rest of the run with it.

What we do. Each test module runs in a process of its own (child.py puts the loop class in), a few at a time,
and reports test by test. A process that reports nothing for LIMIT seconds hangs: it prints its stacks and is
killed with all it started. Failures are compared, both ways, with a list of names and reasons (expected.py).

A module is a name such as test_tasks, or a part of one: test_tasks.CTask_CFuture_Tests.test_cancel.
Exit status: 0 as expected, 1 not as expected, 2 nothing to run.
"""

import argparse
import concurrent.futures
import contextlib
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from expected import EXPECTED, STOCK

CHILD = pathlib.Path(__file__).with_name("child.py")
LIMIT = 30  # seconds; the slowest test takes 5
FEWEST = 1000  # loops of ours in a whole run; with fewer the injection has missed its aim

# Longest first, so that the one that ends last is short.
SLOW = "test_tasks", "test_subprocess", "test_ssl", "test_events", "test_taskgroups", "test_sslproto"


def modules():
    spec = importlib.util.find_spec("test.test_asyncio")
    if spec is None:
        print(f"{sys.executable} came without its tests: no test.test_asyncio", file=sys.stderr)
        sys.exit(2)
    names = {path.stem for path in pathlib.Path(spec.origin).parent.glob("test_*.py")}
    return sorted(names, key=lambda n: (SLOW.index(n) if n in SLOW else len(SLOW), n))


class Module:
    """What one process reported: the outcome of each test, and how the process ended."""

    def __init__(self, name):
        self.name, self.seconds = name, 0.0
        self.started, self.passed, self.failed, self.skipped = set(), set(), {}, {}
        self.running = name  # whom to blame for a crash
        self.built = None  # loops by kind; None: the process did not reach its end

    def read(self, lines):
        for line in lines:
            kind, test, text = json.loads(line)
            if kind == "start":
                self.started.add(test)
                self.running = test
            elif kind == "pass":
                self.passed.add(test)
            elif kind == "skip":
                self.skipped[test] = text
            elif kind == "fail":  # a test can fail more than once: in each subtest, in its tearDown
                self.failed[test] = self.failed.get(test, "") + text
            elif kind == "end":
                self.built = text
        self.passed -= self.failed.keys() | self.skipped.keys()
        for test in self.started - self.seen() if self.built else ():
            self.failed[test] = "it started and never said how it ended\n"

    def seen(self):
        return self.passed | self.failed.keys() | self.skipped.keys()

    def died(self, how, log):
        self.passed.discard(self.running)
        why = f"{how}; the tests of {self.name} after this one did not run\n{log[-8000:]}"
        self.failed[self.running] = self.failed.get(self.running, "") + why

    def summary(self):
        counts = f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"
        yield f"{self.name}: {counts}, {self.seconds:.1f} s"
        yield from (f"    skipped {test}: {why}" for test, why in self.skipped.items())


def run(name, loop):
    module, start = Module(name), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="test-asyncio-") as tmp:
        report, log, cwd = (pathlib.Path(tmp, p) for p in ("report", "log", "cwd"))
        cwd.mkdir()
        with report.open("wb") as r, log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, CHILD, loop, name, str(LIMIT), str(r.fileno())],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[r.fileno()],
                start_new_session=True,  # a process group, so that what the tests start can be killed with it
            )
        hangs = False
        while not hangs:
            try:
                child.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                hangs = time.time() - report.stat().st_mtime > LIMIT + 3  # 3: to print the stacks
        module.read(report.read_text().splitlines())
        if hangs or module.built is None or child.returncode != 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # not after a clean end: a helper may still tidy up
            child.wait()
            how = f"hangs, for {LIMIT} s" if hangs else f"the process ended with {child.returncode}"
            module.died(how, log.read_text(errors="replace"))
    module.seconds = time.monotonic() - start
    return module


def expected_of(loop):
    """The entries that hold for this interpreter and this loop."""
    version = sys.version_info[:2]
    return {
        test: reason
        for test, (versions, reason) in EXPECTED.items()
        if version in versions and (loop != "stock" or reason == STOCK)
    }


def problems_of(m, expected):
    """All of one module that must not be there, as (title, text)."""
    yield from ((f"FAIL: {t}", text) for t, text in m.failed.items() if t not in expected)
    advice = "remove it from tests/cpython/expected.py: the list may only shrink\n"
    yield from ((f"PASSES, was expected to fail: {t}", advice) for t in sorted(m.passed & expected.keys()))
    if m.built:  # it ran to its end; where only a part was asked for, no entry bears its name
        mine = {t for t in expected if t.partition(".")[0] == m.name}
        yield from ((f"GONE, was expected to fail: {t}", advice) for t in sorted(mine - m.seen()))


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--loop", default="preemptio", help="preemptio, stock, or MODULE:ATTR of a loop class")
    ap.add_argument("--jobs", type=int, default=2, help="processes at a time")
    ap.add_argument("-v", "--verbose", action="store_true", help="name each module, each skip and its reason")
    ap.add_argument("module", nargs="*", help="default: all of test.test_asyncio")
    return ap.parse_args()


def main():
    args, start = arguments(), time.monotonic()
    names = args.module or modules()
    if subprocess.run([sys.executable, CHILD, args.loop], check=False, timeout=LIMIT).returncode:
        return 2  # it said why

    done = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        try:
            for future in concurrent.futures.as_completed([pool.submit(run, n, args.loop) for n in names]):
                m = future.result()
                done.append(m)
                if args.verbose:
                    print(*m.summary(), sep="\n", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)  # those that run are let run to their end: some seconds
            raise

    expected = expected_of(args.loop)
    problems = [p for m in done for p in problems_of(m, expected)]
    ours, stock, other = (sum(m.built[k] for m in done if m.built) for k in ("ours", "stock", "other"))
    if stock or (ours < FEWEST and not args.module):
        problems.append(("VACUOUS", f"{ours} loops were of the class under test, {stock} stock ones\n"))

    for title, text in problems:
        print(f"\n{'=' * 80}\n{title}\n{text}", end="")
    print()
    for m in done:
        for test in sorted(m.failed.keys() & expected.keys()):
            print(f"failed as expected: {test} ({expected[test]})")
    name = {m.built["class"] for m in done if m.built} or {args.loop}
    print(f"loops built: {ours} of {name.pop()}, {stock} stock by mistake, {other} assembled by the tests")
    skipped, seconds = sum(len(m.skipped) for m in done), time.monotonic() - start
    print(f"Python {sys.version.split()[0]}, {skipped} skipped by CPython itself, {seconds:.0f} s")
    print(f"{sum(len(m.passed) for m in done)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
