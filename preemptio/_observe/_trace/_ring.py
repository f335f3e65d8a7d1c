"""The memory of the recorder: records of 32 bytes in chunks, of which the oldest is dropped.

Problem. A recorder that is always on must never take more than it was given, whatever the program does: a million
tasks, each with a name of its own, or one task for a year. Its records must be understood when older ones are gone.

What does not work. Objects of Python for events: a hundred bytes each, and work for the garbage collector. One table
of names for all: it grows for ever, or what is still referred to has to be searched for. A position that is read,
increased and written back: a signal handler or a finalizer may record between the two and have its record overwritten.

What we do. A chunk has its records in one bytearray and the names that these records use in another, each name said
when the chunk meets it first. So a chunk is understood alone, and its names go when it goes. Slots are given out by
an `itertools.count`, which nothing interrupts; a slot that was given out and not written yet is zeros, which no reader
takes for a record.

The bound. The chunk that is being filled counts as what it may become, `known` and `texts` included at what CPython
takes for an entry; a full one as what it is. The oldest is dropped before the next is made.

Invariants. `current` is written last when a chunk is made: who has taken a slot of the old chunk writes it there. A
record refers to names of its own chunk only, so the slot is taken first, and then the names are looked up.

Context: the loop's thread, also between any two instructions of itself (signal handlers, finalizers, the collector's
callbacks); `chunks` in any thread.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from itertools import count
from types import CodeType
from typing import Final

from preemptio._core._g import place_of

RECORD: Final = struct.Struct("<BBHIQQQ")
"""kind, sub, status, number, G, nanoseconds, and what the kind says; `_records.py` has the table."""

SIZE: Final = RECORD.size
NAME: Final = struct.Struct("<BQQH")
"""G or TEXT, its number, the number of the text that says where a G was made, and the bytes of UTF-8 that follow."""

G_NAME: Final = 1
TEXT: Final = 2

ENTRY: Final = 192
"""Bytes for an entry of `known` or `texts` beside the name itself: a slot of the dict, and its key and value."""

OVERHEAD: Final = 1024
"""Bytes for the objects of a chunk."""

LONGEST: Final = 500
"""Bytes of a name that are kept."""

LEAST: Final = 256 * 1024
"""Below this there is no room for the chunks."""


class Chunk:
    """Records, and the names that they use."""

    __slots__ = ("cells", "known", "left", "limit", "names", "newest", "take", "text_number", "texts")

    def __init__(self, size: int) -> None:
        """Take `size` bytes: half for records, half for names, of which most is for `known` and given back."""
        self.limit = size // 2 // SIZE  # slots that may be taken; 0 once the names are full
        self.cells = bytearray(self.limit * SIZE)
        self.names = bytearray()
        self.left = size // 2  # bytes left for names
        self.take: Callable[[], int] = count().__next__
        self.known: dict[int, int] = {}  # G -> when it was last stopped
        self.texts: dict[Hashable, int] = {}
        self.text_number: Callable[[], int] = count(1).__next__
        self.newest = 0  # nanoseconds; set when it is full

    def define(self, kind: int, number: int, site: int, text: str) -> None:
        """Say a name. When the room for names is used up the chunk is full."""
        raw = text.encode("utf-8", "replace")[:LONGEST]
        self.names += NAME.pack(kind, number, site, len(raw)) + raw
        self.left -= NAME.size + len(raw) + ENTRY
        if self.left < LONGEST + ENTRY:
            self.limit = 0

    def text(self, key: Hashable, make: Callable[[], str]) -> int:
        """Return the number of a text, which is made when it is new."""
        number = self.texts.get(key)
        if number is None:
            number = self.text_number()
            self.define(TEXT, number, 0, make())
            self.texts[key] = number
        return number

    def place(self, code: CodeType | None, lasti: int) -> int:
        """Return the number of the text that says where an instruction is."""
        return 0 if code is None else self.text((code, lasti), lambda: place_of(code, lasti))

    def seal(self, slots: int, now: int) -> None:
        """Keep what was written, and no more."""
        self.limit = 0
        self.newest = now
        self.known, self.texts = {}, {}
        del self.cells[slots * SIZE :]

    @property
    def size(self) -> int:
        """Bytes that it takes once it is full."""
        return (
            OVERHEAD + len(self.cells) + len(self.names) * 9 // 8
        )  # a bytearray that grows keeps an eighth in reserve


Mark = tuple[Chunk, int]
"""How far somebody has read: a chunk, and the bytes of its records."""


class Ring:
    """The chunks of one recorder."""

    def __init__(self, max_bytes: int, keep: int) -> None:
        """Keep `max_bytes` at most, and of them the last `keep` nanoseconds."""
        self._max = max_bytes
        self._keep = keep
        self._size = max_bytes // 8  # of a chunk
        self.dropped = 0  # records that were dropped
        self.current = Chunk(self._size)
        self._all: tuple[Chunk, ...] = (self.current,)  # exchanged as a whole, for those who read in other threads

    def next(self, chunk: Chunk, now: int) -> Chunk:
        """Return the chunk to write to, after a slot of `chunk` was one too many, or its names were full."""
        if chunk is self._all[-1]:
            # Not the caller's slot: who came between it and its test has taken later ones.
            chunk.seal(min(chunk.take(), len(chunk.cells) // SIZE), now)
            self._drop(now)
            made = Chunk(self._size)
            if chunk is self._all[-1]:  # else a finalizer that ran meanwhile has made one
                self._all = (*self._all, made)
        self.current = self._all[-1]
        return self.current

    def _drop(self, now: int) -> None:
        """Make room for one chunk."""
        kept, size = [], 0
        for chunk in reversed(self._all):
            size += chunk.size
            if size > self._max - self._size or chunk.newest < now - self._keep:
                self.dropped += len(chunk.cells) // SIZE
                size = self._max  # and all that are older
            else:
                kept.append(chunk)
        self._all = tuple(reversed(kept)) or self._all[-1:]

    def clear(self) -> None:
        """Forget everything: in a forked child."""
        self.current = Chunk(self._size)
        self._all = (self.current,)

    def held(self) -> int:
        """Return how many bytes it takes now, what the last chunk may still take included."""
        *full, _ = self._all
        return sum(chunk.size for chunk in full) + self._size

    def chunks(self) -> list[tuple[bytes, bytes]]:
        """Copy the records and names, oldest first. Any thread: each copy is one instruction."""
        *full, current = [(bytes(chunk.cells), bytes(chunk.names)) for chunk in self._all]
        used = -(-len(current[0].rstrip(b"\0")) // SIZE) * SIZE
        return [*full, (current[0][:used], current[1])]

    def since(self, mark: Mark | None) -> tuple[list[bytes], Mark]:
        """Copy the records that were written after a mark, and return them with the next one. Any thread.

        None stands for the beginning; and so does a mark in a chunk that was dropped.
        """
        chunks = self._all
        first = next((i for i, chunk in enumerate(chunks) if mark is not None and chunk is mark[0]), -1)
        start = mark[1] if mark is not None and first >= 0 else 0
        parts = []
        for chunk in chunks[max(first, 0) :]:
            part = bytes(chunk.cells[start:])
            used = -(-len(part.rstrip(b"\0")) // SIZE) * SIZE
            parts.append(part[:used])
            mark, start = (chunk, start + used), 0
        assert mark is not None
        return parts, mark
