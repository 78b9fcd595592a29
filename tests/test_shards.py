"""`devices.shard`: copies that keep a part of the parameters each; steps in float64 are those of one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from runtime.engine.network import GraphModule
from runtime.engine.session import Session
from runtime.engine.sharding import SUMS, own_part, shard, whole
from runtime.engine.wire import Wire
from runtime.errors import RunError
from specc.layout import every_rank, laid_out, stages_of
from specc.layout.witness import witness
from specc.pipeline import run_passes
from specc.plan import Layout, Plan, Reduce
from specc.plan.shards import Deal, staying

from .documents import HPFF, MAN, Document, compiled, document, spec_of
from .ranks import in_ranks
from .test_synchronised_norms import batches

SMALL: Document = {
    "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]},
    "split": {"after": ["stage1.0", "stage2.0"]},
}
COPIES: Document = {**SMALL, "devices": {"data_parallel": 2, "shard": True}}
GRID: Document = {**SMALL, "devices": {"data_parallel": 2, "block_parallel": 2, "shard": True}}
FOUR: Document = {**SMALL, "devices": {"data_parallel": 4, "shard": True}}
CLIPPED: Document = {"clip": {"norm": 0.5}, "optimizer": {"name": "adamw", "lr": 0.01}}
PATCHES: Document = {
    "data": {"dataset": "synthetic", "image_size": 10, "channels": 1, "classes": 4, "samples": 24, "batch_size": 6},
    "auxiliary": {"reconstruction": {"patches": {"grid": [2, 2], "weights": "shared", "execution": "joint"}}},
}
ONE_BY_ONE: Document = {
    "auxiliary": {"classifier": {"patches": {"grid": [2, 2], "weights": "shared", "execution": "sequential"}}}
}
CASES: Mapping[str, Document] = {
    "end-to-end": {"levels": [{"name": "all", "window": "all"}], "train": {"recompute": True}, **GRID},
    "MAN": {**MAN, "train": CLIPPED, **GRID},
    "HPFF": {**HPFF, "train": {"clip": {"value": 0.01}}, **GRID},
    "MAN + HPFF": {**MAN, **HPFF, "train": {"recompute": True}, **GRID},
    "copies alone": {**PATCHES, **FOUR, "split": {"after": ["stage2.0"]}},
}
SLICED: Mapping[str, Document] = {
    "slices": {**MAN, **HPFF, "train": {"micro_batches": 2}, **COPIES},
    "end-to-end in slices": {"levels": [{"name": "all", "window": "all"}], "train": {"micro_batches": 2}, **COPIES},
    "patches one by one": {**ONE_BY_ONE, **COPIES},
}
SIZES = (6, 5, 6, 4, 6)


def stepped(plan: Plan) -> dict[str, Tensor]:
    """All tensors and the optimizers' state after a step on each batch."""
    session = Session(plan, "cpu", torch.float64, wire=None if plan.layout is None else Wire(plan))
    session.set_lr(0.05)
    for images, labels in batches(plan, SIZES):
        own = slice(None) if plan.layout is None else list(plan.layout.share(len(labels)))
        given = (None, None) if plan.layout is not None and plan.layout.stage else (images[own], labels[own])
        session.train_step(*given, samples=len(labels))
    if plan.layout is not None:
        _resident(session, plan.layout)
    names = {parameter: name for name, parameter in session.named_parameters()}
    found = dict(session.model.tensors())
    for optimizer in session.optimizers.values():
        for parameter, state in optimizer.state.items():
            found |= {f"{names[parameter]}/{key}": x for key, x in state.items() if isinstance(x, Tensor)}
    return {name: whole(tensor.detach()).clone() for name, tensor in found.items()}


def _resident(session: Session, layout: Layout) -> None:
    """Between steps a copy has its part of everything, and nobody has gradients or anything in full."""
    deal = Deal(layout.copies, layout.copy)
    for name, parameter in session.named_parameters():
        assert own_part(parameter).shape == deal.own(tuple(parameter.shape)), name
        assert parameter.grad is None, name
    assert not any(each.untyped_storage().nbytes() for group in session.resized() for each in group)


def on_rank(rank: int, plans: Sequence[Plan]) -> list[dict[str, Tensor]]:
    return [stepped(laid_out(plan, rank, stages_of(plan))) for plan in plans]


def hold(cases: Mapping[str, Document], count: int) -> None:
    plans = [compiled(**parts) for parts in cases.values()]
    for name, plan, *ranks in zip(cases, plans, *in_ranks(on_rank, count, plans), strict=True):
        wanted = stepped(plan)
        assert {key for rank in ranks for key in rank} == wanted.keys(), name
        off = ((float((x - wanted[key]).abs().max()), key) for rank in ranks for key, x in rank.items() if x.numel())
        assert max(off) < (1e-10,), name


def test_copies_with_a_part_of_the_parameters_each_are_one_device() -> None:
    """Copies of stages, which lend parts of weights; and copies of which some have no row of a parameter."""
    hold(CASES, 4)


@pytest.mark.full
def test_copies_in_slices_and_patches_are_one_device() -> None:
    hold(SLICED, 2)


def test_a_network_is_gathered_once_where_its_backward_is_next() -> None:
    local = compiled(**MAN)
    assert staying(local) == local.networks.keys()
    levels = compiled(**HPFF)  # of which a window begins with the first block, whose gradient comes from the second one
    found = staying(levels)
    assert "block0" not in found
    assert {"block1", "block2", "block3"} <= found
    assert {name for unit in levels.units for head in unit.heads for name in head.networks} <= found
    end_to_end = compiled(levels=[{"name": "all", "window": "all"}], train={"micro_batches": 2})
    assert {name for name in staying(end_to_end) if name.startswith("block")} == {"block3"}


def test_a_witness_knows_that_parts_are_sums() -> None:
    plan = compiled(**MAN, **GRID)
    assert witness(plan, every_rank(plan, stages_of(plan))) == []


REFUSED: Mapping[str, Document] = {
    "train.optimizer.name": {"train": {"optimizer": {"name": "lamb"}}},
    "train.precision": {"train": {"precision": "fp16"}},
    "train.memory_format": {"train": {"memory_format": "channels_last"}},
    "train.weight_average": {"train": {"weight_average": {"decay": 0.9}}},
    "train.compile": {"train": {"compile": True}},
    "train.graphs": {"train": {"graphs": True}},
    "ema_links.0.bias": {"ema_links": [{"from": "next", "bias": "scaled"}]},
}


@pytest.mark.parametrize("where", REFUSED)
def test_what_takes_whole_tensors_is_refused_where_it_stands(where: str) -> None:
    spec = spec_of(document(**REFUSED[where], **COPIES))
    found = next(each for each in run_passes(spec).diagnostics if each.code == "SPC690")
    path = tuple(int(key) if key.isdigit() else key for key in where.split("."))
    assert found.span == spec.span(*path)


def test_a_single_copy_says_that_it_keeps_everything() -> None:
    spec = spec_of(document(devices={"shard": True}))
    assert [each.code for each in run_passes(spec).diagnostics if "shard" in each.message] == ["SPC108"]


def test_a_torch_that_makes_means_of_sums_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FSDPModule, SUMS)
    with torch.device("meta"), pytest.raises(RunError, match="asks for a newer torch"):
        shard(GraphModule(compiled().networks["block0"]), cast("Any", None), stays=True)


def test_shards_are_summed_by_no_instruction() -> None:
    plan = compiled(**MAN, **COPIES)
    assert not any(isinstance(each, Reduce) for each in laid_out(plan, 0).instructions)
