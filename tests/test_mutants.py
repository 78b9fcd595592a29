"""Every mutation of the list can still be made; `make mutants` makes them."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from .mutants.mutant import ROOT, Mutant, mutants

ALL = dict(mutants())
FEWEST = 60


def test_there_are_many() -> None:
    assert len(ALL) >= FEWEST
    assert sum(bool(m.survives) for m in ALL.values()) <= 3
    assert len({(m.file, m.old, m.new) for m in ALL.values()}) == len(ALL)


@cache
def read(file: str) -> tuple[str, str]:
    """A file's text and what it means."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return text, ast.dump(ast.parse(text))


@pytest.mark.parametrize("mutant", ALL.values(), ids=ALL)
def test_it_applies_once_and_its_tests_exist(mutant: Mutant) -> None:
    text, tree = read(mutant.file)
    assert text.count(mutant.old) == 1
    assert ast.dump(ast.parse(text.replace(mutant.old, mutant.new))) != tree
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        source, _ = read(file)  # files only, so that what they take stays known
        assert not name or re.search(rf"^def {name.partition('[')[0]}\(", source, re.MULTILINE), test
