"""Colours by what they mean, in light and in dark: no picture and no page names any other.

Those of series and categories were chosen so that they stay apart for people who do not tell red from green, and are
told from what is under them by everybody: the tests compute both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Colour:
    """A role in pictures: `#rrggbb` on white paper and on dark one. No two roles have the same on white paper."""

    role: str
    light: str
    dark: str

    @property
    def variable(self) -> str:
        """The CSS custom property that pages give its value by."""
        return f"--specc-{self.role}"


INK = Colour("ink", "#1b2026", "#e9edf2")  # text, and lines that matter
MUTED = Colour("muted", "#5a636e", "#a3adb9")  # text that may be overlooked: axes, units, remarks
GRID = Colour("grid", "#dfe3e8", "#343b45")  # lines that help the eye; borders
PAPER = Colour("paper", "#ffffff", "#14181d")  # what everything lies on
PANEL = Colour("panel", "#f4f6f8", "#1e242b")  # areas that lie on the paper
ACCENT = Colour("accent", "#0a5fb4", "#6fb2f8")  # what to look at first
WARN = Colour("warn", "#b3261e", "#ff8a80")  # limits, and what is beyond them
QUIET = Colour("quiet", "#7b8490", "#8a94a1")  # shapes that something is compared with

SERIES = (
    Colour("series-1", "#0062bd", "#5eaaf7"),  # blue
    Colour("series-2", "#b84b00", "#f79a4e"),  # orange
    Colour("series-3", "#00795c", "#3fcf9f"),  # green
    Colour("series-4", "#7a1f7a", "#e3c4ff"),  # plum
    Colour("series-5", "#755c00", "#dcc04c"),  # ochre
    Colour("series-6", "#bb1f6e", "#ff8fc0"),  # pink
    Colour("series-7", "#00728c", "#56cbe6"),  # teal
    Colour("series-8", "#4b535e", "#b3bcc8"),  # grey
)

CATEGORIES: Mapping[str, Colour] = MappingProxyType({  # of memory, from what lies at the bottom to what comes and goes
    "parameters": Colour("parameters", "#4a5568", "#76849a"),
    "parameters in low precision": Colour("low-precision", "#657186", "#8d99ad"),
    "optimizer state": Colour("optimizer-state", "#7f8a9d", "#a7b2c4"),
    "weight average": Colour("weight-average", "#7b68a6", "#9d8bc9"),
    "EMA copies": Colour("ema-copies", "#8f63b5", "#b48ada"),
    "buffers": Colour("buffers", "#5f7d86", "#7fa0aa"),
    "inputs": Colour("inputs", "#1f8a70", "#6fdcbb"),
    "losses": Colour("losses", "#8a7420", "#c4ab45"),
    "gradients": Colour("gradients", "#8f1247", "#d9548a"),
    "activations": Colour("activations", "#2b73c2", "#4c93e0"),
    "gradients of activations": Colour("activation-gradients", "#d46a00", "#f0923a"),
})  # fmt: skip
OTHERS = Colour("others", "#8c8577", "#a8a193")  # a category that a package added


def category(name: str) -> Colour:
    """The colour of a category of memory.

    >>> category("activations").role, category("of a package").role
    ('activations', 'others')
    """
    return CATEGORIES.get(name, OTHERS)


def series(index: int) -> Colour:
    """The colour of the series with this number; after eight of them they come again."""
    return SERIES[index % len(SERIES)]


ROLES = (INK, MUTED, GRID, PAPER, PANEL, ACCENT, WARN, QUIET, *SERIES, *CATEGORIES.values(), OTHERS)
BY_LIGHT: Mapping[str, Colour] = MappingProxyType({colour.light: colour for colour in ROLES})

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def css() -> str:
    """The custom properties that pictures in a page are coloured by.

    Dark where the system is, unless the page says `data-theme="light"`; `data-theme="dark"` and Material for MkDocs'
    `slate` are dark anyway.
    """
    light, dark = (";".join(f"{c.variable}:{getattr(c, mode)}" for c in ROLES) for mode in ("light", "dark"))
    return (
        f":root{{--specc-font:{FONT};{light}}}\n"
        f'@media (prefers-color-scheme: dark){{:root:not([data-theme="light"]){{{dark}}}}}\n'
        f':root[data-theme="dark"],[data-md-color-scheme="slate"]{{{dark}}}\n'
        '[data-md-color-scheme="default"]{' + light + "}\n"
    )
