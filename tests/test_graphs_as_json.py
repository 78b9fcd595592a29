"""Graphs as JSON, read and written by pydantic from their types alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from specc.graph.graph import BackboneGraph, Node
from specc.graph.ops.source import Source
from specc.graph.traced import cache
from specc.testing.strategies import backbones, graph_of, shapes

GRAPH, NODE = TypeAdapter(BackboneGraph), TypeAdapter(Node)


@given(st.data(), shapes())
@settings(max_examples=20)
def test_every_graph_is_read_as_it_was_written(data: st.DataObject, image: tuple[int, ...]) -> None:
    graph = graph_of(data.draw(backbones(image, 3)), image, 3)
    assert GRAPH.validate_json(GRAPH.dump_json(graph)) == graph


@pytest.mark.parametrize(
    "op", [{"op": "no_such"}, {"op": ["relu"]}, "relu", {}, {"op": "conv"}, {"op": "conv", "out": 0}], ids=str
)
def test_what_is_no_op_is_refused(op: Any) -> None:
    with pytest.raises(ValidationError):
        NODE.validate_json(json.dumps({"name": "a", "op": op, "inputs": [], "in_shapes": [], "shape": []}))


def test_a_traced_graph_in_the_cache_is_read_for_its_own_key_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))
    own, other = (cache.key(Source("torchvision", model, (3, 8, 8), 3)) for model in ("a", "b"))
    graph = graph_of({"layers": [{"name": "all", "op": "flatten"}, {"name": "fc", "op": "linear", "out": 3}]},
                     (3, 8, 8), 3)  # fmt: skip
    cache.save(own, graph)
    assert cache.load(own) == graph
    own.path.rename(other.path)
    assert cache.load(own) is None
    assert cache.load(other) is None
    own.path.write_text(other.path.read_text()[:-9])
    assert cache.load(own) is None
