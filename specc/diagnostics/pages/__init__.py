"""One page a code: what it means, why it is an error, an example that has it and one without; not what finds it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib.resources import files

from specc.diagnostics.codes import CODES

SECTIONS = ("What", "Why", "Bad", "Good")


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block of a page: a spec (`yaml`) or commands (`sh`)."""

    language: str
    text: str


def find(name: str) -> str | None:
    """The code that is meant: `spc204` and `204` are fine.

    >>> find("spc204"), find("204"), find("nonsense")
    ('SPC204', 'SPC204', None)
    """
    folded = name.strip().upper()
    folded = folded if folded.startswith("SPC") else f"SPC{folded}"
    return folded if folded in CODES else None


def nearest(name: str) -> list[str]:
    """The codes that look most alike."""
    folded = f"SPC{re.sub(r'[^0-9]', '', name):0>3}"
    same_phase = [code for code in CODES if code[:4] == folded[:4]]
    return difflib.get_close_matches(folded, same_phase or list(CODES), n=3, cutoff=0.0)


def page(code: str) -> str:
    """The page of a code, as Markdown."""
    return files(__package__).joinpath(f"{code}.md").read_text(encoding="utf-8")


def sections(code: str) -> dict[str, str]:
    """The parts of a page by their titles; the first is the page's own title."""
    title, *parts = re.split(r"^## (.+)\n", page(code), flags=re.M)
    return {"": title.removeprefix("# ").strip(), **dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))}


def example(code: str, section: str) -> Example:
    """The one block of a section."""
    match = re.search(r"^```(\w+)\n(.*?)^```", sections(code)[section], flags=re.M | re.S)
    assert match, f"{code}: no example in {section}"
    return Example(match[1], match[2])
