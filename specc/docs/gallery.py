"""Ten deliberate mistakes in a real spec, and what specc says to each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specc.checking import check_text
from specc.diagnostics.render import render


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change to a spec that a person may well make: in the first match of `pattern`."""

    title: str
    pattern: str
    replacement: str
    code: str

    def apply(self, text: str) -> str:
        """The spec with the mistake in it."""
        changed, count = re.subn(self.pattern, self.replacement, text, count=1, flags=re.M)
        if not count:
            raise LookupError(f"`{self.title}`: nothing in the spec matches {self.pattern!r}")
        return changed


MISTAKES = (
    Mistake("a name from another framework", r"\blr:", "learning_rate:", "SPC101"),
    Mistake("a misspelt section", r"^train:", "trian:", "SPC101"),
    Mistake("a colon in a value", r"^name: (.*)$", "name: MAN: \\1", "SPC006"),
    Mistake("a boolean of YAML 1.1", r"nesterov: true", "nesterov: yes", "SPC016"),
    Mistake("a memory size that is none", r"memory: .*$", "memory: 6 gigs", "SPC502"),
    Mistake("a data set that is nearly right", r"dataset: digits", "dataset: digit", "SPC105"),
    Mistake("a depth that no such network has", r"depth: \d+", "depth: 100", "SPC104"),
    Mistake("more blocks than there are places to cut", r"blocks: \d+", "blocks: 96", "SPC402"),
    Mistake("a window that does not fit", r"window: 1", "window: 60", "SPC405"),
    Mistake("two keys of one name", r"^split:", "data: {batch_size: 256}\n\nsplit:", "SPC008"),
)

HEAD = """# Ten mistakes, and what specc says

<!-- generated: python -m specc.docs -->

Each was made in [specs/{name}](../specs/{name}), one at a time. `specc explain CODE` prints more about any of them, and
[diagnostics.md](diagnostics.md) lists all codes.
"""


def gallery(spec: Path, mistakes: Sequence[Mistake] = MISTAKES) -> str:
    """The page as Markdown."""
    text = spec.read_text(encoding="utf-8")
    parts = [HEAD.format(name=spec.name)]
    for number, mistake in enumerate(mistakes, 1):
        report = check_text(mistake.apply(text), f"specs/{spec.name}")
        said = render(report.diagnostics, report.sources)
        parts.append(f"## {number}. {mistake.title[0].upper()}{mistake.title[1:]}\n\n```text\n{said}\n```\n")
    return "\n".join(parts)
