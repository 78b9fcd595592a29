"""Every op between two others, in the precisions and memory formats: its memory is predicted to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import specc
from runtime.memory.trace import trace
from specc.graph.ops import Shape
from specc.memory.prediction import as_traced
from specc.pipeline import run_passes
from specc.plan import Plan
from specc.spec.load import loads
from specc.testing.layer_lists import offers, result

Document = dict[str, Any]

NEW = (
    "conv_transpose", "rms_norm", "prelu", "scale", "reshape", "transpose", "permute", "channel_shuffle",
    "space_to_depth", "depth_to_space", "window_partition", "window_reverse", "roll", "slice", "split", "attention",
    "resize",
)  # fmt: skip
STEMS: dict[Shape, list[Document]] = {
    (4, 6, 6): [{"op": "conv", "out": 4}],
    (36, 4): [{"op": "conv", "out": 4}, {"op": "to_tokens"}, {"op": "linear", "out": 4}],
    (4,): [{"op": "conv", "out": 4}, {"op": "global_avg_pool"}, {"op": "linear", "out": 4}],
}
TRAINING = (("bf16", "channels_last"), ("fp32", "contiguous"), ("fp32", "channels_last"), ("bf16", "contiguous"))


def after(shape: Shape) -> list[Document]:
    """What reads the op's result: something with weights, then the logits."""
    if len(shape) == 1:
        return [{"op": "linear", "out": 3}]
    inner = {"op": "conv", "out": 2, "k": 1} if len(shape) == 3 else {"op": "linear", "out": 2}
    return [inner, {"op": "global_avg_pool"}, {"op": "linear", "out": 3}]


def networks(op: str) -> Iterator[Document]:
    """The op after what gives each kind of shape; where it keeps the shape, beside a shortcut."""
    for shape, stem in STEMS.items():
        for arguments in offers(op, shape):
            entry = {"op": op, **arguments}
            given = result(entry, shape)
            if given is not None:
                skip = [{"op": "add", "from": [f"l{len(stem)}", f"l{len(stem) - 1}"]}] if given == shape else []
                layers = [*stem, entry, *skip, *after(given)]
                yield {"layers": [{"name": f"l{i}", **layer} for i, layer in enumerate(layers)]}


def plan_of(backbone: Document, precision: str = "fp32", memory_format: str = "contiguous") -> Plan:
    data = {"dataset": "synthetic", "image_size": 6, "channels": 2, "classes": 3, "samples": 8, "batch_size": 4}
    train = {"precision": precision, "memory_format": memory_format}
    document = {"specc": 1, "name": "op", "data": data, "backbone": backbone, "train": train}
    return specc.compile(loads(json.dumps(document)))


@pytest.mark.parametrize("op", NEW)
def test_the_memory_of_an_op_in_a_network_is_what_is_traced(op: str) -> None:
    found = list(networks(op))
    assert found
    for i, backbone in enumerate(found):
        training = TRAINING[i % len(TRAINING)]
        plan = plan_of(backbone, *training)
        traced = trace(plan)
        assert [moment.bytes for moment in as_traced(plan).timeline] == list(traced.timeline), (training, backbone)


def diagnostics_of(**parts: Any) -> list[tuple[str, str]]:
    data = {"dataset": "synthetic", "image_size": 4, "channels": 1, "classes": 3, "samples": 8, "batch_size": 4}
    spec = loads(json.dumps({"specc": 1, "name": "op", "data": data, **parts}))
    return [(found.code, found.message) for found in run_passes(spec).diagnostics]


INTEGERS = {"name": "integers", "op": "to_integers"}
TABLE = {"name": "table", "op": "embedding", "out": 4}
TAIL: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": 3}]


def test_integers_are_made_of_what_nothing_was_trained_for() -> None:
    resized = {"name": "small", "op": "resize", "size": 2}
    assert diagnostics_of(backbone={"layers": [resized, INTEGERS, TABLE, *TAIL]}) == []
    stem = {"name": "stem", "op": "conv", "out": 1}
    lost = "`to_integers` gives no gradient to what it reads, so that `stem.conv` would never learn"
    found = diagnostics_of(backbone={"layers": [stem, resized, INTEGERS, TABLE, *TAIL]})
    assert found == [("SPC302", f"`integers` does not fit: {lost}")]


def test_integers_in_a_head_would_pass_nothing_back() -> None:
    stem = {"name": "stem", "op": "conv", "out": 1}
    backbone = {"layers": [stem, {"name": "flat", "op": "flatten"}, {"name": "fc", "op": "linear", "out": 3}]}
    head = {"layers": [{"op": "to_integers"}, {"op": "embedding", "out": 2}, {"op": "flatten"}]}
    found = diagnostics_of(backbone=backbone, split={"blocks": 2}, auxiliary={"classifier": head})
    assert [code for code, _ in found] == ["SPC415"]
    assert "`to_integers` gives no gradient to what it reads" in found[0][1]
