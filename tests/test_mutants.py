"""Every mutation of the list can still be made; `make mutants` makes them."""

from __future__ import annotations

import ast
import re

import pytest

from .mutants.mutant import ROOT, Mutant, mutants

ALL = dict(mutants())
FEWEST = 60


def test_there_are_many() -> None:
    assert len(ALL) >= FEWEST
    assert sum(bool(m.survives) for m in ALL.values()) <= 3
    assert len({(m.file, m.old, m.new) for m in ALL.values()}) == len(ALL)


@pytest.mark.parametrize("mutant", ALL.values(), ids=ALL)
def test_it_applies_once_and_its_tests_exist(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    assert ast.dump(ast.parse(text.replace(mutant.old, mutant.new))) != ast.dump(ast.parse(text))
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")  # files only, so that what they take stays known
        assert not name or re.search(rf"^def {name.partition('[')[0]}\(", source, re.MULTILINE), test
