"""`benchmarks.devices`: what is compared with public measurements, and that the page says what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import devices
from benchmarks.gpu_tables.tables import Taken, Trained

ROOT = Path(__file__).parent.parent
RESULTS = json.loads((ROOT / "docs/results/devices.json").read_text(encoding="utf-8"))


def compared(model: str, device: int, estimate: float, tensors: float = 1.0) -> devices.Compared:
    return devices.Compared(Taken(model, model, 224, 8, device), tensors, estimate, inside=estimate <= device)


def test_which_models_are_taken_depends_on_their_names_alone() -> None:
    names = [f"model{n}" for n in range(40)]
    some = devices.chosen(names, 10)
    assert len(some) == 10
    assert devices.chosen([*reversed(names), *names], 10) == some
    assert devices.chosen([name for name in names if name in some or name > "model2"], 10) == some


def test_ratios_are_of_the_estimate_to_the_device() -> None:
    found = [compared("a", 1000, 900.0, 500.0), compared("a", 2000, 2000.0, 400.0), compared("b", 1000, 1300.0, 1100.0)]
    figures = devices.of_memory(found)
    assert (figures["models"], figures["rows"]) == (2, 3)
    assert figures["median_ratio"] == 1.0
    assert figures["ninetieth_percentile"] == pytest.approx(1.24)
    assert figures["median_error"] == pytest.approx(0.1)
    assert figures["median_ratio_of_tensors"] == 0.5
    assert figures["tensors_above"] == 1
    assert figures["worst_rows"][0] == "b at 8: 1.30"


def test_a_batch_is_right_where_it_fits_and_the_next_does_not() -> None:
    rows = [Trained(name, name, 224, batch, 1.0) for name, batch in (("a", 512), ("b", 96), ("c", 96), ("d", 96))]
    answers = [(True, None), (True, True), (True, False), (False, True)]
    found = [devices.Held(row, *answer) for row, answer in zip(rows, answers, strict=True)]
    figures = devices.of_batches(found)
    assert figures["largest_fits"] == 0.75
    assert figures["next_does_not"] == pytest.approx(2 / 3)
    assert figures["both"] == 0.5
    assert figures["wrong"] == ["c: 96 and the next fit", "d: 96 too large"]


def test_models_that_the_constants_were_fitted_to_are_a_group_of_their_own() -> None:
    found = [compared("resnet50", 1000, 1000.0), compared("swinv2_cr_tiny_ns_224", 1000, 1200.0)]
    groups = devices.in_groups(found, lambda group: {"models": [each.row.model for each in group]})
    assert groups["fitted_on"]["models"] == ["resnet50"]
    assert groups["others"]["models"] == ["swinv2_cr_tiny_ns_224"]
    assert len(groups["all"]["models"]) == 2


def test_a_model_that_cannot_be_traced_is_counted_once_and_looked_at_no_more() -> None:
    rows = [Taken("a", "a", 224, 8, 1), Taken("a", "a", 224, 16, 1), Taken("b", "b", 224, 8, 1)]
    looked: list[Taken] = []

    def compare(row: Taken) -> str:
        looked.append(row)
        if row.model == "a":
            raise AttributeError("no such thing")
        return row.model

    refused: dict[str, str] = {}
    assert list(devices.tried(rows, compare, refused)) == ["b"]
    assert refused == {"a": "AttributeError: no such thing"}
    assert len(looked) == 2


def test_the_page_says_what_was_found() -> None:
    text = (ROOT / "docs/memory.md").read_text(encoding="utf-8")
    assert "\n".join(devices.page(RESULTS)) in text
    assert f"{RESULTS['models']} of {RESULTS['of']}" in text
    assert RESULTS["a100"]["others"]["models"] >= 30
    assert 0.9 <= RESULTS["a100"]["others"]["median_ratio"] <= 1.1
