"""The modules of the standard library whose code may be preempted, each with the reason why.

Problem. Much of the standard library was written for asyncio's world, in which a function runs alone, or keeps state
behind locks that a stopped holder would keep. Refusing all of it would be safe and useless: json, re and difflib are
where the CPU goes.

What we do. A module is on the list if a task may be stopped at any function entry and any back edge of it while others
call it. That is so if its functions only compute on their arguments and on objects they have made, or if what they
share is read and written in straight-line code only, so that nobody finds it half done: a cache that is filled by one
assignment of a finished value loses at worst the work of computing it twice. Whoever adds a module reads its source in
every supported CPython for globals, class attributes, caches, locks and `catch_warnings`, and writes the finding here.

What does not work. To go by "is thread-safe": base64 is documented as such and fills a global table in a loop; a task
stopped there leaves a table that makes the next one fail (`tests/programs/half_filled_table.py` shows it). Nor is a
lock a way out: a stopped task keeps it, and the next one blocks the thread that would let the first go on.

Left out on purpose, though they look the part:
  - base64: the table of b85decode, see above;
  - _strptime (datetime.strptime): a lock, and global caches cleared under it;
  - functools, contextlib, enum, dataclasses, collections, abc, weakref, warnings: what others build on and call in the
    middle of their own work; cached_property holds a lock on 3.11;
  - bisect, datetime, decimal, keyword, math, operator, struct, unicodedata: written in C or replaced by C as soon as
    they are imported, so that no frame of theirs is ever met;
  - sre_compile, sre_parse: empty shells over re since 3.11.

One known exception inside the list: re.template, deprecated and gone in 3.13, compiles under `catch_warnings`.

Invariants. Every entry exists on every supported Python and has a frame that is met: tests/preempt/test_purelist.py
calls each. docs/pure-modules.md is this table.

Context: read when a file is met for the first time.
"""

from __future__ import annotations

from typing import Final

PURE: Final[dict[str, str]] = {
    "ast": "walks and prints the tree it was given; a visitor's state is in the visitor",
    "colorsys": "arithmetic on three numbers",
    "copy": "the memo belongs to the call; its global tables are only read",
    "csv": "readers, writers and sniffers keep their state in themselves; the registry of dialects is C, one call each",
    "difflib": "a matcher's tables are in the matcher; no globals are written",
    "dis": "reads code objects and prints; its global tables are only read",
    "fnmatch": "patterns are cached by functools.lru_cache, which is C and re-entrant",
    "fractions": "arithmetic on new objects; hashes are cached by functools.lru_cache, which is C and re-entrant",
    "graphlib": "a sorter's state is in the sorter",
    "heapq": "merge, nlargest and nsmallest work on lists of their own; what works on the caller's heap is C",
    "html": "tables are only read; a parser's state is in the parser",
    "ipaddress": "netmasks are cached per class by one assignment of a finished pair; at worst it is made twice",
    "json": "the shared decoder's and encoder's state is made per call; its memo of keys may be emptied at any time",
    "numbers": "arithmetic of the abstract classes; registers at import only",
    "pprint": "a printer's state is in the printer, made for each call",
    "quopri": "from one given file or string to another",
    "random": "the shared generator is C and changes by whole calls; gauss() keeps its spare in straight-line code",
    "re": "compiled patterns are cached in straight-line code after they are finished; at worst one is compiled twice",
    "shlex": "a lexer's state is in the lexer",
    "statistics": "sums over the data it was given, in locals",
    "string": "a template's pattern is set once, when its class is made; formatters keep their state in locals",
    "stringprep": "looks up single characters in tables that are only read",
    "symtable": "tables are remembered in a weak dictionary by one assignment; at worst one is made twice",
    "textwrap": "a wrapper's settings are its own; the rest is in locals",
    "token": "compares one number with constants",
    "tokenize": "the state is in the generator's locals; patterns are cached by functools.lru_cache, which is C",
    "typing": "subscriptions are cached by functools.lru_cache, which is C; at worst a ForwardRef is evaluated twice",
    "urllib.parse": "results are cached by functools.lru_cache, which is C; the table of unquote is assigned finished",
    "xml.etree": "parsers and trees keep their state in themselves; selectors are cached by one assignment, finished",
    "zoneinfo": "zones are entered in the cache finished, by setdefault: of two that load one zone the first wins",
}
"""Module or package, with all that is below it, and why a task may be stopped in it."""
