"""The benchmark of a step holds like against like."""

from __future__ import annotations

import pytest
import torch

from benchmarks import plain
from benchmarks.step import NETWORKS, alternating, of_loop, ratio, shown
from benchmarks.steps import case_plan


@pytest.mark.parametrize("network", NETWORKS)
def test_the_loop_trains_the_network_of_the_spec(network: str) -> None:
    with torch.device("meta"):
        module = getattr(plain, network.replace("vit", "Vit"))()
    (found,) = case_plan({"network": network, "optimizer": "sgd", "memory_format": "contiguous"}).networks.values()
    expected = sorted(shape for shape in found.graph.parameters.values() if len(shape) != 1)
    shapes = sorted(tuple(p.squeeze().shape) if network == "vit" and p.dim() == 3 else tuple(p.shape)
                    for p in module.parameters() if p.dim() != 1)  # fmt: skip
    if network != "vit":  # whose tokens' embeddings have other ranks
        assert shapes == expected
    assert sum(p.numel() for p in module.parameters()) == found.graph.parameter_count


def test_all_take_turns_and_the_median_of_the_turns_is_told() -> None:
    asked: list[str] = []
    seconds = iter([4.0, 2.0, 1.0, 5.0, 9.0, 3.0])

    def run(name: str) -> float:
        asked.append(name)
        return next(seconds)

    times = alternating(("specc", "loop"), 3, run)
    assert asked == ["loop", "specc", "specc", "loop", "loop", "specc"]
    assert times == {"specc": [2.0, 1.0, 3.0], "loop": [4.0, 5.0, 9.0]}
    assert ratio(times, "specc", "loop") == pytest.approx(1 / 3)


def test_both_memory_formats_are_there_where_they_matter() -> None:
    cases = {(c["network"], c["optimizer"], c["memory_format"]) for c in of_loop()}
    assert len(cases) == 10
    assert ("vit", "adamw", "channels_last") not in cases
    assert (
        shown({"network": "vit", "ratio": 1.01, "milliseconds": {"specc": 3.0}})
        == "vit  ratio: 1.010  milliseconds: specc 3"
    )
