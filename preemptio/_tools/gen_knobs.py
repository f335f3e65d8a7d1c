"""Write docs/knobs.md from the knob table, so that the page cannot say anything else than the program.

Usage:
    python -m preemptio._tools.gen_knobs           write the page
    python -m preemptio._tools.gen_knobs --check   exit 1 when the page on disk is not what would be written
"""

import sys
import textwrap
from collections.abc import Iterator, Sequence

from preemptio._config import DEBUG_FLAGS, KNOBS
from preemptio._tools._page import DOCS, write_or_check

PAGE = DOCS / "knobs.md"
COMMAND = "python -m preemptio._tools.gen_knobs"

HEAD = f"""\
# Knobs

<!-- Written by `{COMMAND}` from preemptio/_config.py. Edit the table there, not this page. -->

Each knob can be set in two ways. An assignment wins over the environment, which wins over the default.

```sh
PREEMPTIO_SLICE=2ms python app.py
```

```python
from preemptio import config

config.slice = 0.002
```

A variable that is empty counts as unset. A value that is not accepted raises `ConfigError`: at once when it
is assigned, at the first read when it comes from the environment.

| attribute | environment variable | default | unit |
| --- | --- | --- | --- |"""


def render() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    for knob in KNOBS:
        default = _default(knob.kind.show(knob.default))
        yield f"| [`config.{knob.name}`](#{knob.name}) | `{knob.env}` | {default} | {knob.unit} |"
    for knob in KNOBS:
        yield f"\n## {knob.name}\n\n{textwrap.fill(knob.doc, 110, break_on_hyphens=False)}\n"
        yield f"- Default: {_default(knob.kind.show(knob.default))}"
        yield f"- Accepted: {knob.kind.accepts}"
        yield f"- Example: `{knob.env}={knob.example}` or `{knob.assignment}`"
    yield "\n### Debug flags\n\n| key | accepted | unit | what it does |\n| --- | --- | --- | --- |"
    for flag in DEBUG_FLAGS:
        yield f"| `{flag.name}` | {flag.kind.accepts} | {flag.unit} | {flag.doc} |"


def _default(text: str) -> str:
    return f"`{text}`" if text else "(empty)"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the page; return the exit status."""
    return write_or_check(PAGE, COMMAND, render(), argv)


if __name__ == "__main__":
    sys.exit(main())
