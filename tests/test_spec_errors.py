"""The corpus of wrong specs: exactly the codes written beside the lines, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from specc.checking import check, check_text
from specc.diagnostics.render import FORMATS, render
from specc.spec.lookup import keys_of, model_at

CORPUS = sorted((Path(__file__).parent / "specs_bad").glob("*.yaml"))
REMARK = re.compile(r"# (error|warning)(?: at line (\d+))?: (SPC\d{3}(?:, SPC\d{3})*)")

Found = Counter[tuple[int, str, str]]


def expected(text: str) -> Found:
    found: Found = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        for severity, other, codes in REMARK.findall(line):
            found.update((int(other or number), severity, code) for code in codes.split(", "))
    return found


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_wrong_spec(path: Path) -> None:
    report = check(path)
    found: Found = Counter((d.span.line, str(d.severity), d.code) for d in report.diagnostics if d.span)
    assert found == expected(path.read_text(encoding="utf-8")), render(report.diagnostics, report.sources)
    assert all(d.span for d in report.diagnostics)
    for form in FORMATS:
        render(report.diagnostics, report.sources, form)


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 120


def test_a_spec_without_what_no_spec_can_do_without_is_checked_all_the_same() -> None:
    text = "backbone: {family: resnet_cifar, depth: 20}\nsplit: {blocks: 96}\n"
    assert {d.code for d in check_text(text).diagnostics} == {"SPC102", "SPC402"}


@pytest.mark.parametrize("key", ["layers", "torchvision"])
def test_of_kinds_without_a_name_the_one_that_has_the_keys_is_meant(key: str) -> None:
    model = model_at(("backbone",), {"backbone": {key: "...", "strange": 1}})
    assert model is not None
    assert key in keys_of(model)
