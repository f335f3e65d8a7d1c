"""What preemption costs and what it buys, as ratios against a loop that has none.

A number of microseconds says more about the machine than about the library, and the machines that run
this are noisy. So every benchmark measures two or more *sides* - a stock loop, the same loop preempted,
the same work with no loop at all - in turns within one run, and what is judged is the ratio of turns that
stood next to each other. See README.md for how to run it and how to read it.
"""
