"""A few of the fuzzer's cases (`make fuzz` runs 50,000), and that the fuzzer sees what it is there for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from specc.diagnostics import SpecError
from specc.language.source import parse
from tests.documents import document
from tests.fuzz import cases
from tests.fuzz.cases import Case, answer, documents, files, judge, make, plain, search, sound_documents
from tests.fuzz.trees import NAME, is_plain, tree, yaml

SLICE = 200


def test_a_slice_of_the_cases_is_answered() -> None:
    failures = search(1, range(SLICE))
    assert not failures, "\n".join(failure.told for failure in failures)


def test_a_case_is_a_function_of_its_seed_and_number() -> None:
    assert repr(make(7, 12)) == repr(make(7, 12))
    assert repr(make(7, 12)) != repr(make(8, 12)) != repr(make(8, 13))


def test_every_spec_of_the_repository_is_damaged() -> None:
    assert len(sound_documents()) >= 60
    assert len(documents()) >= 200


@pytest.mark.parametrize("path", [None, *files()[::40]], ids=lambda path: path.stem if path else "tiny")
def test_the_short_way_to_a_tree_says_what_the_text_says(path: Path | None) -> None:
    data = plain(path) if path else document()
    assert is_plain(data)
    short, long = answer(Case(data)), answer(Case(data, as_text=True))
    assert [(d.code, d.message) for d in short.diagnostics] == [(d.code, d.message) for d in long.diagnostics]
    written, _ = parse(yaml(data), NAME)
    assert written is not None
    assert repr(tree(data).data) == repr(written.data)


def failing(error: BaseException) -> Any:
    def check(case: Case) -> None:
        if "levels" in case.data:
            raise error

    return check


def test_an_exception_is_found_and_the_case_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "sound", failing(KeyError("x")))
    found = judge(Case({"a": {"b": 1}, "levels": [1, 2], "c": 3}, ("d=1",)))
    assert found is not None
    assert "KeyError" in found.where
    assert cases.smaller(found).case == Case({"levels": []})


def test_an_error_of_the_spec_is_no_failure_of_a_command_but_one_of_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` reports; it never raises."""
    monkeypatch.setattr(cases, "sound", failing(SpecError([], {})))
    assert judge(Case({"levels": 1})) is not None


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(case: Case) -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue

    monkeypatch.setattr(cases, "SECONDS", 0.05)
    monkeypatch.setattr(cases, "sound", forever)
    found = judge(Case({}))
    assert found is not None
    assert found.where == "too long"
