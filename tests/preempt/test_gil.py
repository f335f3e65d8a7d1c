"""The switch interval: shorter while the tick is on, and the program's own again afterwards."""

import sys

import pytest

from preemptio._preempt._gil import GilShare


@pytest.fixture(autouse=True)
def interval():
    """The interval, put back after the test."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before)


def test_half_a_slice():
    """Guarding twice changes nothing more."""
    share = GilShare()
    share.guard(0.001)
    share.guard(0.001)
    assert sys.getswitchinterval() == pytest.approx(0.000_5)
    share.give_back()
    assert sys.getswitchinterval() == pytest.approx(0.005)
    share.give_back()
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_is_never_made_longer():
    """A program that has a short one keeps it."""
    share = GilShare()
    share.guard(0.1)
    assert sys.getswitchinterval() == pytest.approx(0.005)
    share.give_back()
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_what_the_program_sets_meanwhile_stays():
    """It is the program's."""
    share = GilShare()
    share.guard(0.001)
    sys.setswitchinterval(0.02)
    share.give_back()
    assert sys.getswitchinterval() == pytest.approx(0.02)
