"""The comments of a spec: those that its author wrote, and where there are none what the reference says of a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..language.source import Path, Tree
from ..spec.json_schema import summary
from ..spec.lookup import fields_of, models_at

AUGMENT, DATASET = ("data", "augment"), ("data", "dataset")
_COMMENT = re.compile(r"""^((?:[^#'"]|(?<!\s)\#|'[^']*'|"[^"]*")*?)\s+\#\s?(.*)$""", re.VERBOSE)
_WHOLE = re.compile(r"^\s+# ?(.*)$")


@dataclass
class Comments:
    """What is said of a spec's keys: of each beside it or above it, and lines that stand after it."""

    beside: dict[Path, str] = field(default_factory=dict)
    after: dict[Path, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Written:
    """The comments of one text, by the number of the line with the key that they belong to."""

    beside: Mapping[int, str]
    after: Mapping[int, list[str]]


@cache
def _written(text: str) -> _Written:
    beside: dict[int, str] = {}
    after: dict[int, list[str]] = {}
    last = 0
    for number, line in enumerate(text.splitlines(), 1):
        if found := _WHOLE.match(line):
            after.setdefault(last, []).append(found[1])
        elif line.strip() and not line.startswith("#"):
            last = number
            if found := _COMMENT.match(line):
                beside[number] = found[2]
    return _Written(beside, after)


def authors(tree: Tree) -> Comments:
    """What the authors of a spec and of its parents wrote beside the keys that are still theirs."""
    found = Comments()
    for path, span in _first_of_lines(tree):
        if path == AUGMENT and span.file != tree.span(DATASET, key=True).file:
            continue  # `paper` is something else for another data set
        written = _written(tree.sources[span.file])
        if span.line in written.beside:
            found.beside[path] = written.beside[span.line]
        if span.line in written.after:
            found.after[path] = written.after[span.line]
    return found


def _first_of_lines(tree: Tree) -> Iterator[tuple[Path, Any]]:
    """The keys that stand first on their lines."""
    first: dict[tuple[str, int], Path] = {}
    for path, span in sorted(tree.keys.items(), key=lambda each: (each[1].file, each[1].line, each[1].column)):
        first.setdefault((span.file, span.line), path)
    return ((path, tree.keys[path]) for path in first.values())


def described(path: Path, document: Any) -> str:
    """What the reference says of a key; nothing of what is in no mapping."""
    model = next(iter(models_at(path[:-1], document)), None)
    told = fields_of(model).get(path[-1]) if model else None
    return summary(told.description) if told is not None and told.description else ""
