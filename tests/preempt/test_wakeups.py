"""The wake-up descriptor: ticks stay with us, other signals go on to the loop, and the loop gets it back."""

import os
import signal

import pytest

from preemptio._preempt._wakeups import NOBODY, Wakeups

TICK = signal.SIGALRM


@pytest.fixture
def loops():
    """Read and write end of a descriptor that a loop has set."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    yield read, write
    signal.set_wakeup_fd(before)
    os.close(read)
    os.close(write)


def current():
    """Return the interpreter's descriptor."""
    fd = signal.set_wakeup_fd(NOBODY)
    signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    return fd


def nothing_lost(full, waited):
    """Fail: the pipe was never full."""
    raise AssertionError((full, waited))


class Watched:
    """A loop that watches what it is told to."""

    def __init__(self, able=True):
        self.able = able
        self.readers = {}

    def __call__(self, fd, callback):
        if callback is None:
            del self.readers[fd]
        elif self.able:
            self.readers[fd] = callback
        return self.able


@pytest.fixture
def usr2():
    """A signal with a handler, so that raising it writes a byte."""
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    yield signal.SIGUSR2
    signal.signal(signal.SIGUSR2, before)


def test_ticks_stay_and_others_go_on(loops, usr2):
    """Whatever their order."""
    watch = Watched()
    wakeups = Wakeups(watch, nothing_lost)
    wakeups.take(TICK)
    (fd,) = watch.readers
    ours = current()
    os.write(ours, bytes((TICK, TICK)))
    signal.raise_signal(usr2)
    os.write(ours, bytes((TICK,)))
    wakeups.drain()
    assert os.read(loops[0], 100) == bytes((usr2,))
    with pytest.raises(BlockingIOError):
        os.read(fd, 100)
    wakeups.give_back()
    assert current() == loops[1]
    assert watch.readers == {}


def test_more_than_a_chunk_is_read(loops, usr2):
    """A long C call leaves thousands of ticks."""
    wakeups = Wakeups(Watched(), nothing_lost)
    wakeups.take(TICK)
    os.write(current(), bytes((TICK,)) * 5_000)
    signal.raise_signal(usr2)
    wakeups.drain()
    assert os.read(loops[0], 100) == bytes((usr2,))
    wakeups.give_back()


def test_what_was_not_read_goes_on_at_the_end(loops, usr2):
    """A signal just before the loop ends is still the loop's."""
    wakeups = Wakeups(Watched(), nothing_lost)
    wakeups.take(TICK)
    signal.raise_signal(usr2)
    wakeups.give_back()
    assert os.read(loops[0], 100) == bytes((usr2,))


def test_nothing_is_taken_from_nobody():
    """Where no loop asked for the bytes none are written; a loop that cannot watch keeps its own."""
    before = signal.set_wakeup_fd(NOBODY)
    try:
        watch = Watched()
        wakeups = Wakeups(watch, nothing_lost)
        wakeups.take(TICK)
        assert current() == NOBODY
        assert watch.readers == {}
        wakeups.give_back()
        assert current() == NOBODY
    finally:
        signal.set_wakeup_fd(before)


def test_a_loop_without_readers_keeps_its_descriptor(loops):
    """It would sleep through every signal."""
    wakeups = Wakeups(Watched(able=False), nothing_lost)
    wakeups.take(TICK)
    assert current() == loops[1]
    wakeups.give_back()
    assert current() == loops[1]


def test_another_descriptor_set_meanwhile_stays_and_is_stood_before_at_the_next_look(loops):
    """asyncio sets its own at every add_signal_handler."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        wakeups = Wakeups(Watched(), nothing_lost)
        wakeups.take(TICK)
        signal.set_wakeup_fd(write)
        wakeups.take(TICK)
        os.write(current(), b"\x01")
        wakeups.drain()
        assert os.read(read, 10) == b"\x01"
        signal.set_wakeup_fd(loops[1])
        wakeups.give_back()
        assert current() == loops[1]
    finally:
        os.close(read)
        os.close(write)


def test_no_descriptor_is_left_open(loops):
    """Loops come and go."""
    wakeups = Wakeups(Watched(), nothing_lost)
    before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(3):
        wakeups.take(TICK)
        wakeups.give_back()
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_pipe_that_was_full_is_told_of(loops, usr2):
    """What came then is lost, and may have been anything."""
    told = []
    wakeups = Wakeups(Watched(), lambda *what: told.append(what))
    wakeups.take(TICK)
    os.write(current(), bytes((TICK,)) * (wakeups._room - 1))
    signal.raise_signal(usr2)
    signal.raise_signal(usr2)  # does not fit
    wakeups.drain()
    assert told == [("pipe", wakeups._room)]
    assert os.read(loops[0], 10) == bytes((usr2,))
    wakeups.drain()
    signal.raise_signal(usr2)
    wakeups.drain()
    assert len(told) == 1
    wakeups.give_back()


def test_a_loop_that_takes_no_more_is_told_of(loops, usr2):
    """It wakes up, but does not learn for what."""
    told = []
    wakeups = Wakeups(Watched(), lambda *what: told.append(what))
    wakeups.take(TICK)
    os.write(loops[1], bytes(wakeups._room))
    signal.raise_signal(usr2)
    wakeups.drain()
    assert told == [("loop", 1)]
    os.read(loops[0], wakeups._room)
    wakeups.give_back()
