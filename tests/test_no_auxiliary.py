"""`auxiliary` left out and `auxiliary: {}`: one head, or none."""

from __future__ import annotations

import json

from specc.checking import check_text
from specc.docs.reference import reference
from tests.documents import compiled, document


def test_left_out_it_is_a_classifier() -> None:
    assert [head.name for head in compiled().units[0].heads] == ["classifier"]


def test_empty_it_is_no_head_and_the_error_says_the_difference() -> None:
    found = check_text(json.dumps(document(auxiliary={}))).diagnostics
    assert [d.code for d in found] == ["SPC414"]
    assert "leave the key out" in found[0].help[0]


def test_the_difference_is_not_told_where_it_is_none() -> None:
    found = check_text(json.dumps(document(levels=[{"name": "a", "skip": [0]}]))).diagnostics
    assert [d.code for d in found] == ["SPC414"]
    assert "leave the key out" not in " ".join(found[0].help)


def test_the_reference_says_the_difference() -> None:
    assert "where the key is left out, one `classifier`; `{}`: no heads at all" in reference()
