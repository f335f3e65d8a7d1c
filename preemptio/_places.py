"""How code is named in a setting: a module, a file or a function, each as one piece of text.

Problem. Whose code may be preempted is said in a variable, in a tuple and in a policy; the same text must mean the same
in all of them, and a slip must be an error that says what to type, not an entry that never matches.

What we do. The form tells the kind: text with a separator or the end `.py` is a path, text with a colon is a function,
anything else is a module. No prefix and no second list is needed, since no name of a module has these signs.

Context: any thread. Not for signal handlers: it allocates and may raise.
"""

import os
from dataclasses import dataclass
from typing import Final

ACCEPTS: Final = "a module or package as written after `import`, module:function, or the path of a file or directory"

_INNER: Final = {"<locals>", "<lambda>"}


def is_path(text: str) -> bool:
    """Report whether a place is a file or a directory."""
    return os.sep in text or "/" in text or text.endswith(".py")


def parse_place(text: str) -> str:
    """Return the place in its normal form; a path is made absolute.

    Raises:
        ValueError: it is neither module, function nor path; the message says why.
    """
    place = text.strip()
    if is_path(place):
        path = os.path.abspath(place)
        if path != path.strip() or path.strip(os.sep) == "":
            raise ValueError(f"{path!r} is no path to name: it ends in a space, or is everything")
        return path
    module, colon, qualname = place.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        # The usual slip is the name known to pip: "my-lib" for `import my_lib`.
        raise ValueError(f"{module!r} cannot be the name of a package in an import statement")
    if colon and not all(part.isidentifier() or part in _INNER for part in qualname.split(".")):
        raise ValueError(f"{qualname!r} cannot be the __qualname__ of a function")
    return place


@dataclass(frozen=True, slots=True)
class Places:
    """The kind of the knobs that name code, in the order given. Text is split at commas; a stray comma is forgiven."""

    @property
    def accepts(self) -> str:
        """Say what a value may be."""
        return f"any number of these, separated by commas: {ACCEPTS}"

    def parse(self, value: object) -> tuple[str, ...]:
        """Return the places, each once."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
            raise ValueError("it is not a list of names")
        return tuple(dict.fromkeys(parse_place(name) for name in names if name.strip()))

    def show(self, value: tuple[str, ...]) -> str:
        """Return the text which `parse` reads as these places."""
        return ",".join(value)
