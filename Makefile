# Everything here works in a fresh clone: environments are made under .venv/ when they are missing or stale.
#
#   make test     lint, types, docs and tests, on every CPython >= 3.11 found     (ARGS=--everywhere: each test on each)
#   make test-services   the tests that need a database: starts a PostgreSQL of its own
#   make test-ray   the tests that need Ray, of 240 MB: in an environment of their own
#   make fault-injection   all tests with a preemption at every safe point, then at a share of them drawn by a seed
#   make demo     watch a CPU-bound task being preempted
#   make bench    the benchmarks, in their short form: three quarters of an hour     (ARGS='--json FILE' keeps the figures)
#   make bench-gate   fail if a ratio that is promised is missed by more than the measurement can err
#   make stress   the stress run
#   make clean    remove environments and caches

# The first of these that starts and is new enough drives the rest. A name on PATH may be a pyenv shim that
# does not start, so each is tried. PYTHON=... overrides the search.
CANDIDATES = python3.13 python3.12 python3.11 python3.14 python3 \
             $(wildcard $(HOME)/.pyenv/versions/3.*/bin/python3)
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in $(CANDIDATES); do \
              $$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$python && break; done)
RUN_ALL = $(or $(PYTHON),$(error no CPython >= 3.11 found; type: make $@ PYTHON=/path/to/python3)) tests/run_all.py

.PHONY: test test-services test-ray fault-injection demo bench bench-gate stress clean

test:
	@$(RUN_ALL) $(ARGS)

test-services:
	@python=$$($(RUN_ALL) --environment) && exec "$$python" tests/services/run.py $(ARGS)

test-ray:
	@python=$$($(RUN_ALL) --environment --extra ray-test) && \
	    exec "$$python" -m pytest tests/neighbours/test_ray.py tests/examples -k ray $(ARGS)

fault-injection:
	@$(RUN_ALL) --fault-injection $(ARGS)

demo:
	@python=$$($(RUN_ALL) --environment) && exec "$$python" -m preemptio demo $(ARGS)

bench:
	@python=$$($(RUN_ALL) --environment) && exec "$$python" -m benchmarks --quick $(ARGS)

bench-gate:
	@python=$$($(RUN_ALL) --environment) && exec "$$python" -m benchmarks.gate --quick $(ARGS)

stress:
	@python=$$($(RUN_ALL) --environment) && exec "$$python" -m benchmarks.stress $(ARGS)

clean:
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
