"""A batch in slices: the same step as the whole batch, in less memory, in either order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc import Plan
from specc.checking import check_text
from specc.cli import main
from specc.compiler.verify import verify
from specc.fit.splits import Splits
from specc.memory.prediction import as_traced, first_difference
from specc.pipeline import CHECKS, run_passes
from specc.plan import Backward, Forward, Head

from .documents import MAN, Document, spec_of

SPECS = Path(__file__).parent.parent / "specs"
ORDERS = ["slices", "blocks"]

LAYERS: list[Document] = [
    {"name": "stem", "op": "conv", "out": 8, "bias": True},
    {"name": "act0", "op": "relu"},
    {"name": "conv1", "op": "conv", "out": 8, "stride": 2, "bias": True},
    {"name": "norm1", "op": "group_norm", "groups": 2},
    {"name": "act1", "op": "relu"},
    {"name": "conv2", "op": "conv", "out": 8, "bias": True},
    {"name": "act2", "op": "relu"},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": 4},
]
DECODER: Document = {"layers": [{"op": "resize", "size": [8, 8]}, {"op": "conv", "out": 2, "bias": True}]}
BASE: Document = {
    "specc": 1,
    "name": "slices",
    "data": {"dataset": "synthetic", "image_size": 8, "channels": 2, "classes": 4, "samples": 64, "batch_size": 10},
    "backbone": {"layers": LAYERS},
    "split": {"after": ["act0", "act1"]},
    "auxiliary": {"pooled_linear": {}, "reconstruction": DECODER},
    "train": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.001}},
}  # fmt: skip
LEVELS = [{"name": "independent", "weight": 0.3}, {"name": "cascade", "window": 2, "weight": 0.7}]


def patched(**patches: Any) -> Document:
    """A decoder on patches of 4 x 4, at the only unit whose features are as large as the images."""
    decoder = {"layers": [{"op": "conv", "out": 2, "bias": True}], "patches": patches}
    return {"split": {"after": ["act0"]}, "auxiliary": {"pooled_linear": {}, "reconstruction": decoder}}


METHODS: dict[str, Document] = {
    "end to end": {"split": {"blocks": 1}},
    "local": {},
    "averages": MAN,
    "scaled averages": {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "scaled"}]},
    "two levels": {"levels": LEVELS},
    "two levels, averages": {"levels": LEVELS, **MAN},
    "patches": patched(weights="shared"),
    "patches one by one": patched(execution="sequential"),
    "recompute": {"train": {"recompute": True}},
    "labels written into images": {"levels": [{"name": "one"}], "auxiliary": {"goodness": {"negatives": "images"}}},
}


def plan_of(slices: int = 1, order: str = "auto", **changes: Any) -> Plan:
    document = BASE | changes
    document |= {"train": BASE["train"] | changes.get("train", {}) | {"micro_batches": slices}}
    return specc.compile(spec_of(document | {"schedule": {"order": order}} if slices > 1 else document))


def stepped(plan: Plan, steps: int = 2) -> tuple[Session, list[Any]]:
    torch.manual_seed(0)
    session = Session(plan, dtype=torch.float64)
    draw = torch.Generator().manual_seed(1)
    batches = [
        (torch.rand(10, 2, 8, 8, dtype=torch.float64, generator=draw), torch.randint(4, (10,), generator=draw))
        for _ in range(steps)
    ]
    return session, [session.train_step(*batch) for batch in batches]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("slices", [3, 10])
@pytest.mark.parametrize("name", METHODS)
def test_the_sum_over_slices_is_the_batch(name: str, slices: int, order: str) -> None:
    """Slices of different sizes too: ten images in three."""
    whole, said = stepped(plan_of(**METHODS[name]))
    parts, told = stepped(plan_of(slices, order, **METHODS[name]))
    for key, tensor in whole.model.tensors().items():
        torch.testing.assert_close(parts.model.tensors()[key], tensor, rtol=1e-10, atol=1e-10, msg=key)
    for one, other in zip(said, told, strict=True):
        close(other.logits, one.logits)
        for unit, losses in one.losses.items():
            close(other.total[unit], one.total[unit])
            for term, loss in losses.items():
                close(other.losses[unit][term], loss)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", METHODS)
def test_the_prediction_is_the_trace(name: str, order: str) -> None:
    plan = plan_of(3, order, **METHODS[name])
    assert verify(plan) == []
    predicted, traced = as_traced(plan), trace(plan)
    assert predicted.peak_bytes == pytest.approx(traced.peak_bytes, rel=5e-3)
    assert first_difference(predicted, traced.timeline, 0.02) is None


def order_of(plan: Plan) -> list[tuple[int, int]]:
    return [(i.block, i.slice) for i in plan.instructions if isinstance(i, Forward)]


def test_an_order_can_be_forced() -> None:
    assert order_of(plan_of(2, "slices")) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert order_of(plan_of(2, "blocks")) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_block_is_done_with_all_slices_before_the_next_begins() -> None:
    """Block by block only one block has gradients, and only features are kept of the whole batch."""
    names = [str(i) for i in plan_of(3, "blocks").instructions]
    for k in range(2):
        assert names.index(f"step block{k}") < names.index(f"forward block{k + 1}")


@pytest.mark.parametrize(("widths", "better"), [([4, 4, 4], "slices"), ([8, 256, 256], "blocks")])
def test_the_lower_peak_is_chosen(widths: list[int], better: str) -> None:
    """Where blocks have many parameters their gradients weigh more than features; where they have few, less."""
    layers = [dict(layer) for layer in LAYERS]
    for layer, width in zip((layers[0], layers[2], layers[5]), widths, strict=True):
        layer["out"] = width
    found = {order: plan_of(5, order, backbone={"layers": layers}) for order in ("auto", *ORDERS)}
    peaks = {order: plan.memory.peak_bytes for order, plan in found.items()}
    assert peaks["auto"] == min(peaks.values()) == peaks[better]
    assert order_of(found["auto"]) == order_of(found[better])


def test_every_slice_is_an_identity_of_its_own() -> None:
    plan = plan_of(3, "blocks", **MAN)
    for kind in (Forward, Backward, Head):
        own = [i for i in plan.instructions if isinstance(i, kind)]
        assert len({str(i) for i in own}) == len(own)
        assert {i.slice for i in own} == {0, 1, 2}
    dropped = [i for i in plan.instructions if str(i) != "head unit1.independent.pooled_linear of slice 1"]
    assert any("of slice 1 never comes" in line for line in verify(with_instructions(plan, dropped)))


def with_instructions(plan: Plan, instructions: list[Any]) -> Plan:
    return replace(plan, instructions=tuple(instructions))


@pytest.mark.full
@pytest.mark.parametrize("recipe", ["infopro_cifar10", "dgl_cifar10"])
def test_eight_slices_block_by_block_take_a_third(recipe: str) -> None:
    """ResNet-110 in sixteen blocks, 1,024 images a step: by the trace, which knows nothing of the prediction."""
    changes = ["budget.on_exceed=warn", "data.batch_size=1024", "split={blocks: 16}", "backbone.depth=110"]
    sliced = [*changes, "train.micro_batches=8", "schedule={order: blocks}"]
    whole, parts = (trace(specc.compile(SPECS / f"{recipe}.yaml", each)) for each in (changes, sliced))
    assert parts.peak_bytes <= 0.35 * whole.peak_bytes


# ---------------------------------------------------------------------------------------------- what is said

SAYS = """specc: 1
name: said
data: {dataset: digits, batch_size: 8}
backbone: {family: resnet_cifar, depth: 8}
split: {blocks: 2}
"""


@pytest.mark.parametrize(
    ("more", "codes"),
    [
        ("train: {micro_batches: 4}", ["SPC620"]),
        ("auxiliary: {similarity: {}}\ntrain: {micro_batches: 4}", ["SPC620", "SPC621"]),
        ("train: {micro_batches: 9}", ["SPC620", "SPC622"]),
        ("schedule: {order: blocks}", ["SPC108"]),
        ("train: {micro_batches: 0}", ["SPC104"]),
    ],
)
def test_what_slices_change_is_said(more: str, codes: list[str]) -> None:
    found = check_text(SAYS + more + "\n").diagnostics
    assert sorted(d.code for d in found) == codes
    assert all(d.span and d.span.line > 5 for d in found)


def test_a_plan_says_how_the_batch_is_divided(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(SAYS + "train: {micro_batches: 4}\nschedule: {order: blocks}\n")
    assert "batch 8 in 4 slices, block by block" in CliRunner().invoke(main, ["plan", str(path)]).output


def test_a_batch_smaller_than_its_slices_is_refused() -> None:
    session = Session(plan_of(4), dtype=torch.float64)
    with pytest.raises(ValueError, match="a batch of 3 cannot be divided into 4 slices"):
        session.train_step(torch.rand(3, 2, 8, 8, dtype=torch.float64), torch.zeros(3, dtype=torch.int64))


# ---------------------------------------------------------------------------------------------- the search of splits


@pytest.mark.parametrize("name", ["local", "two levels, averages"])
def test_a_search_knows_what_slices_take_block_by_block(name: str) -> None:
    """Every split that it proposes comes to what its whole plan takes, to one per cent; what is shown is the plan's."""
    levels = {key: value for key, value in METHODS[name].items() if key != "split"}
    document = BASE | levels | {"train": BASE["train"] | {"micro_batches": 3}, "schedule": {"order": "blocks"}}
    draft = run_passes(spec_of(document | {"split": {"fit": {}}, "budget": {"memory": "1 GiB"}}), CHECKS)
    splits = Splits(draft, draft.spec.config)
    rows = [row for blocks in splits.numbers if (row := splits.best(blocks)) is not None]
    assert len(rows) > 2
    for row in rows:
        plan = specc.compile(spec_of(document | {"split": {"after": list(row.after)} if row.after else {"blocks": 1}}))
        assert row.predicted_peak_bytes == pytest.approx(plan.memory.peak_bytes, rel=0.01)


def test_a_split_is_found_where_slices_may_be_more(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    text = SAYS.replace("batch_size: 8", "batch_size: 64").replace("{blocks: 2}", "{fit: {allow: [micro_batches]}}")
    path.write_text(text + "budget: {memory: 1900 KiB}\n")
    result = CliRunner().invoke(main, ["plan", str(path), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "slices" in result.output
