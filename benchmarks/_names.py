"""The benchmarks, in the order in which they run and are told of, each with the question that it answers."""

from __future__ import annotations

QUESTIONS = {
    "latency": "How late does a 2 ms sleep wake beside 1, 8, 64 hogs?",
    "burst": "How late is it at worst, when 64 hogs start in one turn?",
    "throughput": "What do the hogs lose?",
    "step": "What does a step cost when nothing is preempted?",
    "metrics": "What does a step cost with metrics on?",
    "recording": "What does a step cost while the flight recorder is on?",
    "monitor": "How soon does the console answer `gs` beside 8 hogs and 500 requests?",
    "echo": "What does an I/O-bound server lose?",
    "service": "How late is `/health` of a FastAPI service, 200 times a second, while 8 clients have it compute?",
    "actor": "What does an async actor of Ray's lose, and how late is its health check beside 8 computations?",
    "micro": "What do `checkpoint()` and `go()` cost?",
    "instructions": "How many instructions are the hot paths?",
    "cost": "What do a timer, `wait()`, suspending, a switch and the import cost?",
    "memory": "What does a waiting task weigh, and a preempted one?",
    "timeout": "Does a deadline hold when nothing is awaited?",
    "blocking": "What of its turns does a loop keep beside four `time.sleep` in tasks?",
    "sources": "What does the tick of a loop in another thread cost?",
    "scan": "What does a scan of five million objects cost the program beside it?",
    "scale": "How do costs grow, to 1,000,000 Gs, 10,000 parked ones, 500 frames?",
    "load": "How late are timers and requests beside hogs, here and elsewhere?",
    "stress": "Do the results stay the same when a program is preempted at random?",
}

NAMES = tuple(QUESTIONS)
