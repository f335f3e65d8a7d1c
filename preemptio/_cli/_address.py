"""Where a console listens, as it is typed."""

from __future__ import annotations

import argparse
import re
from typing import Final

HOST: Final = "127.0.0.1"
PORT: Final = 20101
ADDRESS: Final = r"(?:\[([^\]]+)\]|([^:\[\]]*))(?::(\d+))?"


def address(text: str) -> tuple[str, int]:
    """Return host and port of what was typed: HOST:PORT, HOST, :PORT, PORT, [ADDRESS]:PORT."""
    found = re.fullmatch(ADDRESS, f":{text}" if text.isdecimal() else text)
    host = (found[1] or found[2] or HOST) if found else ""
    port = int(found[3]) if found and found[3] else PORT
    if not found or not 0 < port < 65536:
        msg = f"{text!r} is no address, HOST:PORT with a port from 1 to 65535. Type, for example: attach {HOST}:{PORT}"
        raise argparse.ArgumentTypeError(msg)
    return host, port
