"""What tasks keep alive, and which of them are lost: `from preemptio import scan`.

Each function reads the heap while the program runs on, in a background task and in slices of half a millisecond.
"""

from preemptio._aio._leaks import leaks as leaks
from preemptio._aio._retained import path_to as path_to, retained as retained
from preemptio._scan._leaks import Leak as Leak
from preemptio._scan._paths import Link as Link, Path as Path
from preemptio._scan._retained import Held as Held, Retained as Retained, Retention as Retention
from preemptio._scan._sizes import register_size as register_size
