"""A head's graph is built once for every unit: a search builds thousands of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from specc.learning.heads import Context, Head

from .documents import PATCHES, compiled


@pytest.mark.parametrize("patches", [None, PATCHES, PATCHES | {"otherwise": "whole"}])
def test_a_head_is_built_once_a_unit(patches: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Counter[tuple[int, ...]]()
    graphs = Head.graphs

    def counted(head: Head, context: Context) -> Any:
        built[context.feature] += 1
        return graphs(head, context)

    monkeypatch.setattr(Head, "graphs", counted)
    plan = compiled(auxiliary={"classifier": {"hidden": 8, "patches": patches}})
    assert sum(built.values()) == len(plan.units) - 1
