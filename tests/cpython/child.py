"""One module of test.test_asyncio in one process, with the loop class under test in the place of asyncio's.

Problem. The tests build their loops in a dozen ways: asyncio.new_event_loop(), a Runner without a factory,
IsolatedAsyncioTestCase, a policy derived from the default one, SelectorEventLoop(selectors.EpollSelector()).

What does not work. An event loop policy of ours: tests set policies themselves, and reset them to None.

What we do. All these ways end in one class, which asyncio knows under a few names. We replace the names
before the test module is imported; so isinstance() and deriving from asyncio.SelectorEventLoop hold as well.
Loops that a test assembles from BaseEventLoop and mocks are the test's own and stay. Every loop is counted in
the one __init__ they all share: a run that tested the stock loop by mistake shows it, and cannot pass.

What happens is reported at once, a JSON line per event and through no buffer: after a crash or a hang run.py
still knows which test it was, and a test that forks cannot report a line twice.
"""
# ruff: noqa: N802, N815 - the names are unittest's

import asyncio
import collections
import faulthandler
import gc
import importlib
import json
import os
import pathlib
import sys
import traceback
import unittest
from asyncio import base_events, unix_events

PACKAGE = "test.test_asyncio."
STOCK = asyncio.SelectorEventLoop  # before anybody replaces it


def loop_class(name):
    if name == "stock":
        return STOCK
    if name == "preemptio":
        import preemptio

        loop = preemptio.new_event_loop(base=STOCK)
        loop.close()
        return type(loop)
    module, _, attr = name.partition(":")
    return getattr(importlib.import_module(module), attr)


def check(cls):
    """Refuse a class that runs its steps where the thread started: nothing of ours would be under test."""
    if cls is STOCK:
        return
    from greenlet import getcurrent

    async def on_a_greenlet():
        return getcurrent().parent is not None

    loop = cls()
    try:
        if not loop.run_until_complete(on_a_greenlet()):
            sys.exit(f"{cls!r} does not run its steps on a greenlet: there is nothing to test")
    finally:
        loop.close()


def inject(cls):
    names = "SelectorEventLoop", "_UnixSelectorEventLoop", "EventLoop"  # the last: 3.13 and later
    for module in asyncio, unix_events:
        for name in names:
            if hasattr(module, name):
                setattr(module, name, cls)
    unix_events._UnixDefaultEventLoopPolicy._loop_factory = cls


def count_loops(cls):
    built = collections.Counter(ours=0, stock=0, other=0)
    init = base_events.BaseEventLoop.__init__

    def counting(self, *args, **kwargs):
        built["ours" if isinstance(self, cls) else "stock" if isinstance(self, STOCK) else "other"] += 1
        init(self, *args, **kwargs)

    base_events.BaseEventLoop.__init__ = counting
    return built


class Report(unittest.TestResult):
    """Writes events to a file descriptor, and keeps a watchdog that prints the stacks when a test hangs."""

    def __init__(self, fd, limit, module):
        super().__init__()
        self.fd, self.limit = fd, limit
        self.blame = self.module = module  # whose fault it is what happens now

    def write(self, kind, test, text=""):
        test = getattr(test, "test_case", test)  # a subtest speaks for its test
        name = test if isinstance(test, str) else test.id()
        os.write(self.fd, json.dumps([kind, name.removeprefix(PACKAGE), text]).encode() + b"\n")

    def watch(self):
        faulthandler.dump_traceback_later(self.limit)  # prints only; run.py kills, with what the test started

    def startTest(self, test):
        super().startTest(test)
        self.blame = test
        self.watch()
        self.write("start", test)

    def stopTest(self, test):
        super().stopTest(test)
        self.blame = self.module

    def addSuccess(self, test):
        self.write("pass", test)

    def addFailure(self, test, err):
        self.write("fail", test, "".join(traceback.format_exception(*err)))

    addError = addFailure

    def addSubTest(self, test, _subtest, err):
        if err is not None:
            self.addFailure(test, err)

    def addSkip(self, test, reason):
        self.write("skip", test, reason)

    def addExpectedFailure(self, test, _err):
        self.write("pass", test)

    def addUnexpectedSuccess(self, test):
        self.write("fail", test, "unexpected success of a test that CPython marks as failing\n")

    def unraisable(self, args):
        """An exception that Python can only print, in a finalizer: CPython's own runner fails for it, too."""
        what = f"{args.err_msg or 'Exception ignored in'} {args.object!r}\n"
        lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        self.write("fail", self.blame, what + "".join(lines))


def main(loop, name, limit, fd):
    cls = loop_class(loop)
    inject(cls)
    built = count_loops(cls)

    from test import support

    support.verbose = 0  # 1 is meant for a person who runs one file by hand
    report = Report(fd, limit, name)
    report.watch()
    sys.unraisablehook = report.unraisable
    try:
        unittest.defaultTestLoader.loadTestsFromName(PACKAGE + name).run(report)
    except unittest.SkipTest as skip:  # from the module's top level: "Windows only"
        report.write("skip", name, str(skip))
    gc.collect()  # what hangs in a cycle complains now, under this module's name
    faulthandler.cancel_dump_traceback_later()
    report.write("end", name, {"class": f"{cls.__module__}.{cls.__qualname__}", **built})


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))  # the checkout, be it installed or not
    faulthandler.enable()
    if sys.argv[2:]:
        main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    else:
        check(loop_class(sys.argv[1]))
