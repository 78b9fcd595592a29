"""A mistake, and the list of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("language", "compiler", "memory", "heads", "runtime", "data", "runs", "referee", "ranks", "moves", "own")


@dataclass(frozen=True)
class Mutant:
    """One place where the code is made wrong.

    `survives` says why no test can notice it; such a mutant may survive.
    """

    file: str
    old: str
    new: str
    why: str  # what is wrong then
    tests: tuple[str, ...]  # arguments of pytest
    survives: str = ""

    def apply(self, root: Path) -> str:
        """Make the mistake in a copy of the code; the text that was there."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.file}: the text to change is there {text.count(self.old)} times"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return text


def mutant(file: str, old: str, new: str, why: str, *tests: str, survives: str = "") -> Mutant:
    """A mutant; tests are ``test_x.py::test_y`` or pytest's further arguments."""
    return Mutant(file, old, new, why, tuple(f"tests/{t}" if t.startswith("test_") else t for t in tests), survives)


def mutants() -> Iterator[tuple[str, Mutant]]:
    """All of them, with a name each."""
    for room in ROOMS:
        for number, each in enumerate(import_module(f"tests.mutants.{room}").MUTANTS, start=1):
            yield f"{room}.{number}", each
