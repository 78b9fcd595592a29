"""One page a code: what it means, why it is an error, an example that has it and one without; not what finds it.

A page is all there is of a code: it begins with the title, like `# SPC101: unknown key`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def titles() -> Mapping[str, str]:
    """Every code that a diagnostic can have, with its title."""
    names = sorted(each.name for each in files(__package__).iterdir() if each.name.endswith(".md"))
    headings = (page(name.removesuffix(".md")).partition("\n")[0] for name in names)
    return dict(heading.removeprefix("# ").split(": ", 1) for heading in headings)


def find(name: str) -> str | None:
    """The code that is meant: `spc204` and `204` are fine.

    >>> find("spc204"), find("204"), find("nonsense")
    ('SPC204', 'SPC204', None)
    """
    folded = name.strip().upper()
    folded = folded if folded.startswith("SPC") else f"SPC{folded}"
    return folded if folded in titles() else None


def nearest(name: str) -> list[str]:
    """The codes that look most alike."""
    folded = f"SPC{re.sub(r'[^0-9]', '', name):0>3}"
    same_phase = [code for code in titles() if code[:4] == folded[:4]]
    return difflib.get_close_matches(folded, same_phase or list(titles()), n=3, cutoff=0.0)


def page(code: str) -> str:
    """The page of a code, as Markdown."""
    return files(__package__).joinpath(f"{code}.md").read_text(encoding="utf-8")
