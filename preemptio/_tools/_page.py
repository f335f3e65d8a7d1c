"""A page of docs/ that a table of the program is written into: written anew, or checked to be what would be written."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


def write_or_check(page: Path, command: str, text: str, argv: Sequence[str] | None) -> int:
    """Write `text` to the page, or with --check compare them; return the exit status."""
    parser = argparse.ArgumentParser(prog=command, description=f"Write docs/{page.name} from the program's table.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page differs")
    if not parser.parse_args(argv).check:
        page.write_text(text, encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{page} is not what the program's table says. Type: {command}\n")
    return 1
