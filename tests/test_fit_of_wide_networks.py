"""What the budget decides leaves out cuts that several tensors cross, and says so where that matters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specc.checking import check_text

from .documents import Document
from .wide_nets import NETS, UNET, Net, document


def codes(net: Net, budget: str, **fit: Any) -> list[str]:
    asked = document(net, split={"fit": fit}, budget={"memory": budget, "on_exceed": "warn"})
    return [each.code for each in check_text(json.dumps(asked)).diagnostics]


def test_it_is_said_where_nothing_fits() -> None:
    asked = document(UNET, split={"fit": {}}, budget={"memory": "1 kB", "on_exceed": "warn"})
    (found,) = (each for each in check_text(json.dumps(asked)).diagnostics if each.code == "SPC510")
    assert "that one tensor alone crosses" in found.message
    assert found.span is not None
    assert "`half2`" in found.help[0]


def test_nothing_is_said_where_a_split_fits() -> None:
    assert "SPC510" not in codes(UNET, "1 GiB")


CHAIN = [{"name": f"c{i}", "op": "conv_bn_relu", "out": 4} for i in range(3)]


def test_nothing_is_said_of_networks_that_one_tensor_passes() -> None:
    end: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": 5}]
    assert "SPC510" not in codes(Net([*CHAIN, *end], [], ()), "1 kB")


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("train", [{}, {"recompute": {"fit": {}}}], ids=["plain", "again"])
def test_a_budget_decides_about_every_wide_network_without_a_wide_cut(name: str, train: Document) -> None:
    for memory in ("1 kB", "60 kB", "1 GiB"):
        asked = document(NETS[name], split={"fit": {}}, budget={"memory": memory, "on_exceed": "warn"}, train=train)
        report = check_text(json.dumps(asked))
        assert not any(each.is_error for each in report.diagnostics), report.diagnostics
