"""The corpus of wrong specs: exactly the codes written beside the lines, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from specc.checking import check
from specc.diagnostics.render import FORMATS, render

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
