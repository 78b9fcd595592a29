"""What may be asked of a network that is cut where several tensors cross: it works, or is refused at its place."""

from __future__ import annotations

import json

import pytest

from runtime.memory.trace import trace
from specc.checking import check_text
from specc.compiler.verify import verify
from specc.layout.ranks import every_rank
from specc.layout.witness import witness
from specc.memory.prediction import as_traced, first_difference

from .documents import Document
from .wide_nets import NETS, document, plan_of, windows

DECODER = {"classifier": {"layers": "0c1f"}, "reconstruction": {"layers": "2c", "channels": 4}}
PATCHES = {"grid": [2, 2], "weights": "separate", "fuse": "losses", "otherwise": "whole"}
WAYS: dict[str, Document] = {
    "links to what is next": {"ema_links": [{"from": "next"}]},
    "links of two layers with a branch": {"ema_links": [{"from": "next", "layers": 2, "bias": "branch"}]},
    "decoders": {"auxiliary": DECODER},
    "decoders of patches": {
        "auxiliary": DECODER | {"reconstruction": DECODER["reconstruction"] | {"patches": PATCHES}}
    },
    "cascades": {"levels": windows(1, 2), "auxiliary": DECODER},
    "host": {"train": {"offload": ["optimizer", "parameters"]}},
    "slices by slices": {"train": {"micro_batches": 2}, "schedule": {"order": "slices"}},
    "stages": {"devices": {"block_parallel": 2}},
    "decoupled stages": {"devices": {"block_parallel": 2, "mode": "decoupled"}},
    "copies": {"devices": {"data_parallel": 2}},
    "frozen": {"train": {"freeze": ["stem"]}},
}
REFUSED = {"SPC421", "SPC422", "SPC423", "SPC426", "SPC433", "SPC201", "SPC410", "SPC687"}  # with a place and a reason


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("way", WAYS)
def test_it_works_or_is_refused_at_its_place(name: str, way: str) -> None:
    asked = WAYS[way]
    if "freeze" in asked.get("train", {}):
        asked = {"train": {"freeze": [NETS[name].layers[0]["name"]]}}
    errors = [each for each in check_text(json.dumps(document(NETS[name], **asked))).diagnostics if each.is_error]
    if errors:
        assert all(each.span is not None and each.label for each in errors)
        assert {each.code for each in errors} <= REFUSED, errors
        return
    plan = plan_of(NETS[name], **asked)
    assert verify(plan) == []
    stages = plan.config.devices.block_parallel
    if stages > 1:
        assert witness(plan, every_rank(plan, (0, len(plan.blocks) // 2))) == []
    elif plan.config.devices.data_parallel == 1:
        tolerance = 0.01 if plan.config.train.offload else 0
        assert first_difference(as_traced(plan), trace(plan).timeline, tolerance=tolerance) is None


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *((name, WAYS["decoders"]) for name in NETS),
        *((name, WAYS["cascades"]) for name in ("unet", "dense", "branches")),
        ("unet", {"split": {"after": ["d1", "d2"]}, "ema_links": [{"from": "next", "bias": "branch"}]}),
    ],
    ids=[*(f"decoders of {name}" for name in NETS), "cascades of unet", "of dense", "of branches", "links of unet"],
)
def test_what_has_to_work(name: str, parts: Document) -> None:
    found = check_text(json.dumps(document(NETS[name], **parts))).diagnostics
    assert not any(each.is_error for each in found), found
