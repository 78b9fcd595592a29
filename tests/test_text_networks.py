"""Networks that read the tokens of a text: traced, cut, and trained as their own code trains them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

import specc
from runtime import Session
from runtime.memory.trace import trace as traced_memory
from specc.checking import check_text
from specc.memory.prediction import as_traced

from . import text_networks
from .conftest import SEED
from .documents import Document, compiled, document
from .plain_loops import assert_blocks_are_detached, assert_one_block_is_a_plain_loop, at_results, twins
from .text_networks import CLASSES, LENGTH, VOCABULARY, Text

SMALL = {
    "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": LENGTH, "vocab_size": VOCABULARY,
}  # fmt: skip
NETWORKS: dict[str, tuple[Document, list[str]]] = {
    "own": ({"module": f"{text_networks.__file__}:Text"}, ["layers.0", "layers.2"]),
    "bert": ({"transformers": "bert", "args": SMALL}, ["bert.encoder.layer.0", "bert.encoder.layer.1"]),
}


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")


def parts(name: str, *, cut: bool = False, **more: Any) -> Document:
    backbone, after = NETWORKS[name]
    data = {"dataset": "synthetic", "length": LENGTH, "vocabulary": VOCABULARY, "classes": CLASSES, "samples": 8}
    return {
        "task": "text_classification", "data": data | {"batch_size": 4}, "backbone": backbone,
        "split": {"after": after} if cut else {"blocks": 1},
        "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 4}},
        "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}}, **more,
    }  # fmt: skip


def batch(rows: int = 4) -> tuple[Tensor, Tensor]:
    """Tokens, the last ones of which are padding, and classes."""
    generator = torch.Generator().manual_seed(SEED)
    tokens = torch.randint(1, VOCABULARY, (rows, LENGTH), generator=generator)
    tokens[0, 5:], tokens[1, -1] = 0, 0
    return tokens, torch.randint(CLASSES, (rows,), generator=generator)


def test_a_network_of_tokens_is_traced_layer_by_layer() -> None:
    """Tokens are read throughout, as every layer makes its mask of them, and end no layer thereby."""
    graph = specc.trace(Text(), batch()[0]).graph
    assert (graph.input, graph.dtype, graph.part(0, 0).dtype) == ((LENGTH,), "int64", "int64")
    layers = [f"layers.{i}" for i in range(4)]
    assert [layer.name for layer in graph.layers] == ["words", *layers, "head"]
    assert graph.cuts == ("words", *layers)
    assert {node.dtype for node in graph.nodes} == {"float32"}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_block_is_a_plain_loop_to_the_last_number(name: str) -> None:
    """Of texts of which some are padded."""
    plan = compiled(**parts(name))
    own, plain = twins(plan)
    assert_one_block_is_a_plain_loop(Session(plan, dtype=torch.float64, module=own), own, plain, [batch()] * 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_learn_as_in_a_loop_with_detach_at_the_cuts(name: str) -> None:
    plan = compiled(**parts(name, cut=True))
    own, plain = twins(plan)
    session = Session(plan, dtype=torch.float64, module=own)
    assert_blocks_are_detached(session, own, plain, batch(), at_results(plain, NETWORKS[name][1]))


@pytest.mark.parametrize(
    ("name", "precision", "off"), [("own", "fp32", 0), ("own", "bf16", 0), ("bert", "fp32", 0), ("bert", "bf16", 0.02)]
)
def test_memory_is_that_of_the_trace(name: str, precision: str, off: float) -> None:
    """With links, whose copies read the tokens too. Tables and norms of bert in low precision are nearly so."""
    links = [{"from": "next", "layers": 1, "momentum": 0.99, "bias": "branch"}]
    plan = compiled(**parts(name, cut=True, ema_links=links, train={"precision": precision}))
    assert as_traced(plan).peak_bytes == pytest.approx(traced_memory(plan).peak_bytes, rel=off, abs=0)


@pytest.mark.parametrize(
    ("backbone", "code", "says"),
    [
        ({"transformers": "bertt", "args": SMALL}, "SPC307", "classify texts called `bertt`"),
        ({"transformers": "vit"}, "SPC307", "classify texts called `vit`"),
        ({"transformers": "bert", "args": {**SMALL, "vocab_size": 9}}, "SPC301", f"tokens 0 to {VOCABULARY - 1}"),
        ({"transformers": "roberta", "args": SMALL}, "SPC301", f"index {LENGTH} is out of bounds"),
    ],
)
def test_models_that_read_no_such_texts_are_refused_before_they_are_trained(
    backbone: Document, code: str, says: str
) -> None:
    (found,) = check_text(json.dumps(document(**parts("own") | {"backbone": backbone}))).diagnostics
    assert (found.code, says in found.message) == (code, True), found.message
