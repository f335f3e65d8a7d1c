"""`python -m preemptio`: the same door as the console script `preemptio`."""

import sys

from preemptio._cli import main

if __name__ == "__main__":
    sys.exit(main())
