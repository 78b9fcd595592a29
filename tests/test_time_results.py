"""How good the time model is, as the documentation says it: every figure comes from the file of results."""

from __future__ import annotations

import json
import statistics

import pytest

from benchmarks.time_page import PAGE, RESULTS, renewed

DOCUMENT = json.loads(RESULTS.read_text(encoding="utf-8"))
ERRORS = [row["predicted"] / row["measured"] - 1 for row in DOCUMENT["rows"]]


def test_the_page_says_what_was_found() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page, DOCUMENT) == page, "python benchmarks/time_page.py"
    assert f"{DOCUMENT['median_error']:.1%} in the median" in page


def test_the_figures_are_those_of_the_rows() -> None:
    assert [row["error"] for row in DOCUMENT["rows"]] == pytest.approx(ERRORS)
    assert DOCUMENT["specs"] == len(ERRORS) == 30
    assert DOCUMENT["worst_error"] == pytest.approx(max(map(abs, ERRORS)))
    assert DOCUMENT["median_error"] == pytest.approx(statistics.median(map(abs, ERRORS)))
