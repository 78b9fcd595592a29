"""Every block has something to train: where specc chooses the cuts always, and where the user does it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

import specc
from specc.checking import check_text
from specc.compiler.cuts import place_cuts
from specc.diagnostics import Diagnostic, Severity
from specc.fit.splits import Splits
from specc.pipeline import CHECKS, run_passes

from .documents import Document, spec_of

LAYERS: list[Document] = [
    {"name": "norm", "op": "relu"},
    {"name": "one", "op": "conv", "out": 4},
    {"name": "act1", "op": "relu"},
    {"name": "two", "op": "conv", "out": 4},
    {"name": "act2", "op": "relu"},
    {"name": "half", "op": "max_pool"},
    {"name": "three", "op": "conv", "out": 4},
    {"name": "act3", "op": "relu"},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "head", "op": "linear", "out": 2},
    {"name": "calm", "op": "dropout", "p": 0.1},
]
PLACES = ("act1", "half", "act3")


def document(**parts: Any) -> Document:
    data = {"dataset": "synthetic", "samples": 8, "batch_size": 4, "image_size": 8, "channels": 3, "classes": 2}
    own = {"specc": 1, "name": "idle", "data": data, "backbone": {"layers": LAYERS}, "split": {"blocks": 1}}
    return own | {"auxiliary": {"classifier": {"layers": "0c1f"}}} | parts


def findings(**parts: Any) -> tuple[Diagnostic, ...]:
    return check_text(json.dumps(document(**parts))).diagnostics


def test_what_has_no_parameters_goes_with_what_comes_before_it_and_pooling_with_the_head() -> None:
    graph = spec_of(document()).config.backbone.expand((3, 8, 8), 2)
    assert set(PLACES) < set(graph.cuts)
    assert graph.cut_choices == PLACES


@pytest.mark.parametrize("by", ["layers", "flops", "parameters", "memory"])
@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_every_one_of_so_many_blocks_has_something_to_train(blocks: int, by: str) -> None:
    plan = specc.compile(spec_of(document(split={"blocks": blocks, "by": by})))
    assert len(plan.blocks) == blocks
    assert all(plan.networks[block.name].parameters for block in plan.blocks)


def test_layers_are_counted_by_their_parameters() -> None:
    graph = spec_of(document()).config.backbone.expand((3, 8, 8), 2)
    assert [graph.layers[cut].name for cut in place_cuts(graph, 3, "layers")] == ["act1", "act3"]
    assert [graph.layers[cut].name for cut in place_cuts(graph, 2, "layers")] == ["half"]


def test_more_blocks_than_have_something_to_train_are_refused() -> None:
    (error,) = findings(split={"blocks": 5})
    assert (error.code, error.label) == ("SPC402", "at most 4")


def test_a_block_of_the_users_own_without_parameters_is_pointed_at() -> None:
    (warning,) = findings(split={"after": ["one", "act1", "two"]})
    assert (warning.code, warning.severity) == ("SPC408", Severity.WARNING)
    assert warning.message == "there is nothing to train in block 1 (`act1`)"
    assert warning.help == ("nearest cuts that leave every block something: `act1`",)


def test_the_first_and_the_last_block_are_no_exception() -> None:
    text = json.dumps(document(split={"after": ["norm", "act2", "head"]}), indent=1)
    found = check_text(text).diagnostics
    assert [d.message for d in found] == [
        "there is nothing to train in block 0 (`norm`)",
        "there is nothing to train in block 3 (`calm`)",
    ]
    lines = [text.splitlines()[d.span.line - 1].strip() for d in found if d.span]
    assert lines == ['"norm",', '"head"']


def test_a_block_that_ends_with_a_group_is_pointed_at_where_the_group_is_named() -> None:
    group = {"shrink": {"layers": [{"name": "act", "op": "relu"}, {"name": "half", "op": "max_pool"}]}}
    layers = [LAYERS[1], {"name": "small", "group": "shrink"}, *LAYERS[6:]]
    found = findings(backbone={"define": group, "layers": layers}, split={"after": ["one", "small"]})
    text = json.dumps(document(backbone={"define": group, "layers": layers}, split={"after": ["one", "small"]}))
    (span,) = [d.span for d in found]
    assert span is not None
    assert text[span.column - 1 : span.end_column - 1] == '"small"'


def test_a_backbone_without_any_parameters_is_an_error() -> None:
    layers = [{"name": "pool", "op": "global_avg_pool"}]
    data = {"dataset": "synthetic", "samples": 8, "batch_size": 4, "image_size": 8, "channels": 2, "classes": 2}
    (error,) = findings(backbone={"layers": layers}, data=data)
    assert (error.code, error.is_error) == ("SPC408", True)


def test_fit_considers_no_other_cuts() -> None:
    spec = spec_of(document())
    splits = Splits(run_passes(spec, CHECKS), spec.config)
    rows = [row for blocks in splits.numbers if (row := splits.best(blocks)) is not None]
    assert {name for row in rows for name in row.after} == set(PLACES)
    assert rows[-1].blocks == 4
