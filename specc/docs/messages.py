"""The pages about what specc says: to ten deliberate mistakes in a real spec, and in every format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specc.checking import check_text
from specc.diagnostics.pages import titles
from specc.diagnostics.render import FORMATS, render
from specc.docs.pages import filled


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


def gallery(spec: Path, mistakes: Sequence[Mistake] = MISTAKES) -> str:
    """The page of mistakes, as Markdown."""
    text = spec.read_text(encoding="utf-8")
    parts: list[str] = []
    for number, mistake in enumerate(mistakes, 1):
        report = check_text(mistake.apply(text), f"specs/{spec.name}")
        said = render(report.diagnostics, report.sources)
        parts.append(f"## {number}. {mistake.title[0].upper()}{mistake.title[1:]}\n\n```text\n{said}\n```\n")
    return filled("errors.md", spec=spec.name, mistakes="\n".join(parts))


EXAMPLE = """specc: 1
name: example
backbone: {family: resnet_cifar, depth: 20}
split: {blocks: 4}
levels:
  - {name: local, window: 1}
  - {name: local, window: 2}
"""
PHASES = {
    "0": "YAML and command line", "1": "keys and values", "2": "names", "3": "graph and shapes", "4": "local learning",
    "5": "budget", "6": "data and training",
}  # fmt: skip


def formats() -> str:
    """The page of formats and codes, as Markdown."""
    report = check_text(EXAMPLE, "example.yaml")
    shown = {name: render(report.diagnostics, report.sources, name) for name in FORMATS}
    return filled("diagnostics.md", example=EXAMPLE, **shown, codes=codes())


def codes() -> str:
    """The table of all codes."""
    lines: list[str] = []
    for digit, phase in PHASES.items():
        lines += [f"### {phase}", "", "| code | title |", "|---|---|"]
        lines += [
            f'| <a id="{code.lower()}"></a>{code} | {title} |' for code, title in titles().items() if code[3] == digit
        ]
        lines.append("")
    return "\n".join(lines)
