"""The search against every split there is, each compiled as a whole: what depends on a unit's number, above all."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from specc.fit.splits import Splits
from specc.pipeline import BEFORE_SPLIT, run_passes
from specc.spec.load import Spec, loads

BASE: dict[str, Any] = {
    "specc": 1,
    "name": "fit",
    "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 8},
    "backbone": {"layers": [
        {"name": "a", "op": "conv_bn_relu", "out": 8},
        {"name": "b", "op": "conv_bn_relu", "out": 8},
        {"name": "c", "op": "conv_bn_relu", "out": 8},
        {"name": "d", "op": "conv_bn_relu", "out": 16, "stride": 2},
        {"name": "e", "op": "conv_bn_relu", "out": 16},
        {"name": "mean", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 10},
    ]},
    "split": {"blocks": 3},
    "auxiliary": {"classifier": {"hidden": 16}, "reconstruction": {}},
}  # fmt: skip
LEVELS = [{"name": "independent"}, {"name": "cascade", "window": 2}]


def spec_of(**changes: Any) -> Spec:
    return loads(json.dumps(BASE | changes), "fit")


def zero(first: float, last: float, **more: Any) -> dict[str, Any]:
    return {"classifier": {"hidden": 16, **more}, "reconstruction": {"weight": {"first": first, "last": last}}}


def silent(**weights: float) -> dict[str, Any]:
    return {"classifier": {"hidden": 16, "weight": weights}, "reconstruction": {"weight": weights}}


@pytest.mark.parametrize("changes", [
    {}, {"levels": LEVELS}, {"ema_links": [{"from": "next"}]}, {"levels": LEVELS, "train": {"recompute": True}},
    {"levels": [{"name": "wide", "window": 3}]},
    {"auxiliary": zero(0, 1)},
    {"auxiliary": zero(1, 0)},
    {"auxiliary": zero(1, 0), "train": {"zero_weight_heads": "keep"}},
    {"auxiliary": zero(1, 0), "levels": LEVELS},
    {"auxiliary": silent(first=1, last=0), "levels": LEVELS},
    {"auxiliary": silent(first=0, last=1), "levels": LEVELS[1:]},
    {"auxiliary": silent(first=0, last=1), "ema_links": [{"from": "next"}]},
    {"auxiliary": zero(1, -1), "levels": LEVELS},
    {"auxiliary": {"augmented": {"depth": 3, "pyramid": 1}}, "levels": LEVELS[:1]},
    {"levels": [{"name": "a", "skip": [1]}, {"name": "b", "window": 2, "units": [{"unit": 2, "weight": 0}]}]},
    {"levels": [{"name": "a", "units": [{"unit": 1, "auxiliary": {"reconstruction": None}}]}]},
    {"auxiliary": {"classifier": {"weight": [1, 0, 1]}}, "levels": LEVELS[:1]},
    {"train": {"clip": {"norm": 1.0}, "weight_average": {}, "label_smoothing": 0.1}},
    {"train": {"optimizer": {"name": "nadam", "weight_decay": 0.1, "weight_decay_exclude": ["norms"]}}},
], ids=[
    "independent", "two levels", "links", "recompute", "three blocks", "no decoder at the first", "none at the last",
    "heads without weight are kept", "two levels, no decoder at the last", "two levels, no loss at the last",
    "windows of two, no loss at the first", "links, no loss at the first", "weights that change their sign",
    "heads less and less deep", "a unit skipped, one without weight", "a unit without decoder", "a list of weights",
    "steps that take memory", "an optimizer that takes some",
])  # fmt: skip
def test_no_split_is_better_than_the_best(changes: dict[str, Any]) -> None:
    """Against every combination of the legal cuts, each compiled as a whole."""
    spec = spec_of(**changes)
    splits = Splits(run_passes(spec, BEFORE_SPLIT), spec.config)
    cuts = splits.graph.cut_choices
    assert len(splits.cuts) == len(splits.legal) == 5
    for blocks in range(1, 7):
        peaks = {
            after: peak for after in combinations(cuts, blocks - 1) if (peak := peak_of(changes, after)) is not None
        }
        row = splits.best(blocks) if blocks in splits.numbers else None
        assert (row is None) == (not peaks), (row, peaks)
        if row is not None:
            assert row.predicted_peak_bytes == pytest.approx(peaks[row.after], abs=64)
            assert row.predicted_peak_bytes <= min(peaks.values()) + 64
            assert splits.base + splits.paths.bound(blocks) <= row.predicted_peak_bytes


def peak_of(changes: dict[str, Any], after: tuple[str, ...]) -> int | None:
    """The peak of a whole plan; None where it has errors."""
    split = {"after": list(after)} if after else {"blocks": 1}
    draft = run_passes(spec_of(**changes, split=split))
    return None if draft.memory is None else draft.memory.peak_bytes
