"""What the scheduler of a loop does, for whoever watches it: `from preemptio import runtime`."""

from preemptio._aio._instruments import add_instrument as add_instrument, remove_instrument as remove_instrument
from preemptio._core._instruments import Instrument as Instrument
