"""A trace that was taken from the recorders, and its file: `.ptrace`.

Problem. What a dump costs the program is what it does in the loop's thread. A format for a viewer takes a hundred
times longer to make than a copy of the ring.

What we do. The file has the ring as it was: a line that says what it is, a line of JSON that says how to read the
rest, and then the chunks. It is made into something for a viewer later, and elsewhere. The file appears under its name
when it is complete.

Context: any thread.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from preemptio._errors import PreemptioError
from preemptio._observe._trace import _records as records
from preemptio._observe._trace._records import Record
from preemptio._observe._trace._ring import G_NAME, NAME, RECORD, SIZE

MAGIC: Final = b"preemptio trace 1\n"


class TraceError(PreemptioError):
    """A file is no trace, or is damaged."""


@dataclass
class Standing:
    """A G as it was when the trace was taken."""

    g: int
    name: str
    site: str
    status: int
    reason: str


@dataclass
class Stream:
    """What one loop's recorder had."""

    loop: str
    began: int  # nanoseconds of perf_counter: since when it recorded
    ended: int  # when it was taken
    wall: int  # the same moment in nanoseconds since the epoch
    dropped: int  # records that had been dropped by then
    standing: list[Standing]
    running: tuple[int, int] | None  # G, and since when
    chunks: list[tuple[bytes, bytes]] = field(repr=False)

    def records(self) -> Iterator[tuple[Record, Names]]:
        """Yield what was recorded, each with the names of its chunk, in the order of its end."""
        for cells, names in self.chunks:
            of = Names(names)
            for values in RECORD.iter_unpack(cells):
                if 0 < values[0] <= records.LOG:  # 0: its slot was taken and not written
                    yield Record._make(values), of


class Names:
    """The names that the records of one chunk use."""

    def __init__(self, raw: bytes) -> None:
        """Read them."""
        self.gs: dict[int, tuple[str, int]] = {}
        self.texts: dict[int, str] = {}
        at = 0
        while at + NAME.size <= len(raw):
            kind, number, site, length = NAME.unpack_from(raw, at)
            at += NAME.size
            text = raw[at : at + length].decode("utf-8", "replace")
            at += length
            if kind == G_NAME:
                self.gs[number] = text, site
            else:
                self.texts[number] = text

    def text(self, number: int) -> str:
        """Return a text, or "" for none."""
        return self.texts.get(number, "")


@dataclass
class Trace:
    """What the recorders of one process had, and the tables of numbers that they use."""

    pid: int
    python: str
    streams: list[Stream]
    waits: list[str] = field(default_factory=lambda: [str(reason) for reason in records.WAITS])
    kinds: list[str] = field(default_factory=lambda: [str(kind) for kind in records.KINDS])
    verdicts: list[str] = field(default_factory=lambda: [str(verdict) for verdict in records.VERDICTS])
    version: int = records.VERSION

    def to_bytes(self) -> Iterator[bytes]:
        """Yield the parts of the file."""
        header = {name: value for name, value in vars(self).items() if name != "streams"}
        header["streams"] = []
        for stream in self.streams:
            fields = {name: value for name, value in vars(stream).items() if name not in {"chunks", "standing"}}
            fields["standing"] = [asdict(each) for each in stream.standing]
            fields["chunks"] = [[len(cells), len(names)] for cells, names in stream.chunks]
            header["streams"].append(fields)
        yield MAGIC
        yield json.dumps(header).encode() + b"\n"
        for stream in self.streams:
            for cells, names in stream.chunks:
                yield cells
                yield names


def read(path: str) -> Trace:
    """Read a file of ours.

    Raises:
        TraceError: it is something else, or damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if file.readline(len(MAGIC)) != MAGIC:
            wanted = f"preemptio trace run -o {_ptrace(path)} script.py"
            raise TraceError(f"{path!r} is not a trace of preemptio's own format. Type: {wanted}")
        try:
            header: dict[str, Any] = json.loads(file.readline())
            if header["version"] != records.VERSION:
                raise TraceError(f"{path!r} was written by another version of preemptio; read it with that")
            streams = [_stream(fields, file.read) for fields in header.pop("streams")]
            return Trace(streams=streams, **header)
        except (ValueError, KeyError, TypeError) as why:
            raise TraceError(f"{path!r} is damaged: {why}. Take the trace again") from None


def _stream(fields: dict[str, Any], read: Callable[[int], bytes]) -> Stream:
    chunks = []
    for sizes in fields.pop("chunks"):
        parts = tuple(read(size) for size in sizes)
        if [len(part) for part in parts] != sizes or sizes[0] % SIZE:
            raise ValueError("its end is missing")
        chunks.append((parts[0], parts[1]))
    standing = [Standing(**each) for each in fields.pop("standing")]
    running = fields.pop("running")
    return Stream(chunks=chunks, standing=standing, running=None if running is None else tuple(running), **fields)


def _ptrace(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0] + ".ptrace"


def write(path: str, parts: Iterator[bytes]) -> None:
    """Write a file that appears under its name when it is complete.

    Raises:
        OSError: it cannot be; nothing is left behind.
    """
    special = os.path.exists(path) and not os.path.isfile(path)  # a pipe, a device: not to be replaced by a file
    path = os.path.realpath(path)
    partial = path if special else f"{path}.{os.getpid()}.partial"
    try:
        try:
            with open(partial, "wb") as file:
                file.writelines(parts)
            if not special:
                os.replace(partial, path)
        except BaseException:
            if not special:
                with contextlib.suppress(OSError):
                    os.unlink(partial)
            raise
    except OSError as why:
        advice = "give a path in a directory that can be written and has room"
        raise OSError(why.errno, f"the trace was not written: {why.strerror}; {advice}", path) from None
