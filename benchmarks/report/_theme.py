"""Colours, each for light and for dark paper. matplotlib draws with the light ones; the file then names them.

A plot that is drawn once has to be read on both: `named` puts a CSS variable where matplotlib wrote a colour, and the
style at the head of the file gives the variable a value for either.
"""

from __future__ import annotations

import re

COLOURS = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#f0f6fc"),
    "soft": ("#59636e", "#9198a1"),
    "grid": ("#e1e5ea", "#272d35"),
    "blue": ("#1f6feb", "#6cb0ff"),
    "teal": ("#0d7d6c", "#45cfb3"),
    "red": ("#c4432b", "#ff8266"),
    "amber": ("#9a6700", "#e3b341"),
    "purple": ("#8250df", "#c297ff"),
    "pink": ("#bf3989", "#ff80c0"),
    "grey": ("#818b98", "#7d8590"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}


def css(selector: str) -> str:
    """Return the variables for both papers."""
    light, dark = (";".join(f"--{name}:{pair[which]}" for name, pair in COLOURS.items()) for which in (0, 1))
    return f"{selector}{{{light}}}@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}"


def named(svg: str) -> str:
    """Return the picture with variables for colours, and the style that defines them."""
    for name, light in LIGHT.items():
        svg = re.sub(rf"{light}\b", f"var(--{name})", svg)
    return re.sub(r"(<svg\b[^>]*>)", lambda found: f"{found[1]}<style>{css('svg')}</style>", svg, count=1)
