"""rich, an optional dependency: the only file that imports it. `run`, `info` and `--json` work without."""

from __future__ import annotations

from preemptio._cli._refusal import Refusal

try:
    from rich.box import SIMPLE_HEAD as SIMPLE_HEAD
    from rich.console import Console as Console
    from rich.progress import BarColumn as BarColumn, Progress as Progress, TextColumn as TextColumn
    from rich.table import Table as Table
    from rich.text import Text as Text
except ImportError as why:
    missing = f"the demo is drawn with rich, which cannot be imported ({why}). Type: pip install 'preemptio[cli]'"
    raise Refusal(missing) from None
