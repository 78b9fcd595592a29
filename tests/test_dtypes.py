"""What kind of numbers a value holds: what ops read and make, what a graph begins with, and what integers cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import specc
from runtime import Session
from runtime.memory.trace import fake_batch, watch
from specc.compiler.cuts import layer_costs
from specc.diagnostics import SpecError
from specc.graph import ops
from specc.graph.builder import Builder, LayerBuilder
from specc.graph.ops import DTypeError
from specc.memory.prediction import as_traced
from specc.spec.load import loads
from specc.testing.strategies import graph_of

from .documents import Document

INTEGERS: Document = {"name": "integers", "op": "to_integers", "levels": 16}
TABLE: Document = {"name": "table", "op": "embedding", "out": 4, "rows": 16}
REST: list[Document] = [
    {"name": "mix", "op": "linear", "out": 4}, {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": 3},
]  # fmt: skip


def spec_of(layers: list[Document], **parts: Any) -> Any:
    data = {"dataset": "synthetic", "image_size": 6, "channels": 1, "classes": 3, "samples": 8, "batch_size": 4}
    return loads(json.dumps({"specc": 1, "name": "d", "data": data, "backbone": {"layers": layers}, **parts}))


@pytest.mark.parametrize(
    ("layers", "said", "help"),
    [
        ([TABLE, *REST], "`embedding` takes integers, and `input` gives floating-point numbers", "8 bytes each"),
        ([INTEGERS, {"name": "stem", "op": "conv", "out": 2}],
         "`conv` takes floating-point numbers, and `integers.integers` gives integers", "`embedding` before it"),
        ([INTEGERS, {**TABLE, "rows": 9}, *REST],
         "`embedding` has 9 rows, and `integers.integers` gives integers from 0 to 15", "`rows: 16`"),
    ],
)  # fmt: skip
def test_other_numbers_than_an_op_reads_are_refused_at_its_layer(layers: list[Document], said: str, help: str) -> None:
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of(layers))
    found = caught.value.diagnostics[0]
    assert (found.code, found.message.partition(": ")[2]) == ("SPC302", said)
    assert found.span is not None
    assert help in found.help[0]


def test_an_embedding_of_features_in_a_head_is_refused_with_help() -> None:
    head = {"classifier": {"layers": [{"op": "embedding", "out": 2}]}}
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of([{"name": "a", "op": "flatten"}, *REST[::2]], split={"blocks": 2}, auxiliary=head))
    (found,) = caught.value.diagnostics
    assert (found.code, "to_integers" in found.help[0]) == ("SPC415", True)


def test_a_graph_may_begin_with_tokens() -> None:
    b = LayerBuilder((5,), "int64")
    with b.layer("table"):
        b.add(ops.Embedding(4, rows=9))
    with b.layer("mix"):
        b.add(ops.Linear(3))
    graph = b.backbone()
    assert (graph.dtype, graph.part(0, 0).dtype, graph.part(1, 1).dtype) == ("int64", "int64", "float32")
    with pytest.raises(DTypeError, match="`linear` takes floating-point numbers, and `input` gives integers"):
        Builder((5,), "int64").add(ops.Linear(3))


def test_every_piece_of_a_graph_knows_what_it_begins_with() -> None:
    graph = graph_of({"layers": [INTEGERS, TABLE, *REST]}, (1, 6, 6), 3)
    assert [node.dtype for node in graph.nodes][:2] == ["int64", "float32"]
    sizes = tuple(sum(len(graph.layers[i].nodes) for i in span) for span in graph.spans)
    assert [piece.dtype for piece in graph.part(0, len(graph.layers) - 1).pieces(sizes)][:3] == [
        "float32", "int64", "float32"
    ]  # fmt: skip


def test_a_cut_by_memory_counts_integers_where_they_are_kept() -> None:
    """The rows' gradients need them; making them needs nothing."""
    graph = graph_of({"layers": [INTEGERS, TABLE, *REST]}, (1, 6, 6), 3)
    assert layer_costs(graph, "memory")[:2] == [0, 8 * 36]


@pytest.mark.parametrize(("precision", "recompute"), [("fp32", False), ("fp32", True), ("bf16", False)])
def test_integers_take_what_is_traced(precision: str, recompute: bool) -> None:
    """8 bytes each, kept for the rows' gradients."""
    train = {"precision": precision, "recompute": recompute}
    plan = specc.compile(spec_of([INTEGERS, TABLE, *REST], split={"after": ["mix"]}, train=train,
                                 auxiliary={"classifier": {"layers": "0c1f"}}))  # fmt: skip
    images, labels = fake_batch(plan)
    real = watch(Session(plan), images, labels + torch.arange(len(labels)) % 3)
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(real.timeline)


def test_integers_end_no_block() -> None:
    """No gradient passes them and no head learns from them: such a cut is neither proposed nor taken."""
    layers = [
        {"name": "whole", "op": "to_integers", "levels": 9},
        {"name": "table", "op": "embedding", "out": 2, "rows": 9},
        {"name": "pool", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 10},
    ]
    document = {"specc": 1, "name": "cut", "backbone": {"layers": layers}, "split": {"after": ["whole"]}}
    with pytest.raises(SpecError) as caught:
        specc.compile(loads(json.dumps(document)))
    (found,) = [d for d in caught.value.diagnostics if d.is_error]
    assert (found.code, "`whole` cannot end a block: it gives integers" in found.message) == ("SPC401", True)
    assert "`table`" in found.help[0]
