"""`devices.shard`: copies that keep a part of the parameters each; five steps in float64 are those of one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from runtime.engine.session import Session
from runtime.engine.sharding import own_part, whole
from runtime.engine.wire import Wire
from runtime.errors import RunError
from runtime.run.ranks import Ranks
from specc.layout import laid_out, stages_of
from specc.pipeline import run_passes
from specc.plan import Plan, Reduce

from .documents import HPFF, MAN, Document, compiled, document, spec_of
from .ranks import in_ranks
from .test_synchronised_norms import batches

COPIES: Document = {"devices": {"data_parallel": 2, "shard": True}}
CLIPPED: Document = {"clip": {"norm": 0.5}, "optimizer": {"name": "adamw", "lr": 0.01}}
UNEVEN: Document = {
    "data": {"dataset": "synthetic", "image_size": 10, "channels": 1, "classes": 4, "samples": 24, "batch_size": 6},
    "auxiliary": {"reconstruction": {"patches": {"grid": [2, 2], "weights": "shared", "execution": "sequential"}}},
}
CASES: Mapping[str, Document] = {
    "end-to-end": {"levels": [{"name": "all", "window": "all"}], "train": {"recompute": True}},
    "MAN": {**MAN, "train": CLIPPED},
    "HPFF": {**HPFF, "train": {"micro_batches": 2, "clip": {"value": 0.01}}},
    "patches of several sizes": UNEVEN,
    "MAN + HPFF": {**MAN, **HPFF, "train": {"recompute": True, "micro_batches": 2}},
}
SIZES = (6, 5, 6, 5, 6)


def stepped(plan: Plan) -> dict[str, Tensor]:
    """All tensors and the optimizers' state after a step on each batch."""
    session = Session(plan, "cpu", torch.float64, wire=None if plan.layout is None else Wire(plan))
    session.set_lr(0.05)
    for images, labels in batches(plan, SIZES):
        own = slice(None) if plan.layout is None else list(plan.layout.share(len(labels)))
        session.train_step(images[own], labels[own], samples=len(labels))
    if plan.layout is not None:
        _resident(session)
    names = {parameter: name for name, parameter in session.named_parameters()}
    found = dict(session.model.tensors())
    for optimizer in session.optimizers.values():
        for parameter, state in optimizer.state.items():
            found |= {f"{names[parameter]}/{key}": x for key, x in state.items() if isinstance(x, Tensor)}
    return {name: whole(tensor.detach()).clone() for name, tensor in found.items()}


def _resident(session: Session) -> None:
    """Between steps a copy has half of everything that has several rows, and nobody has gradients."""
    for name, parameter in session.named_parameters():
        assert own_part(parameter).numel() <= -(-parameter.shape[0] // 2) * parameter[0].numel(), name
        assert parameter.grad is None, name


def on_rank(rank: int, plans: Sequence[Plan]) -> list[dict[str, Tensor]]:
    return [stepped(laid_out(plan, rank, stages_of(plan))) for plan in plans]


def test_copies_with_a_part_of_the_parameters_each_are_one_device() -> None:
    plans = [compiled(**parts, **COPIES) for parts in CASES.values()]
    for name, plan, *found in zip(CASES, plans, *in_ranks(on_rank, 2, plans), strict=True):
        wanted = stepped(plan)
        for rank in found:
            assert rank.keys() == wanted.keys()
            off = ((float((x - wanted[key]).abs().max()), key) for key, x in rank.items() if x.numel())
            assert max(off) < (1e-10,), name


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


def test_links_over_stages_are_refused() -> None:
    spec = spec_of(document(**MAN, devices={"data_parallel": 2, "block_parallel": 2, "shard": True}))
    assert "SPC690" in {each.code for each in run_passes(spec).diagnostics}


def lay_out(rank: int, plan: Plan) -> str:
    with pytest.raises(RunError) as caught:
        Ranks().lay_out(plan)
    return str(caught.value)


def test_a_run_says_that_it_cannot_save_parts() -> None:
    assert all("`devices.shard`" in said for said in in_ranks(lay_out, 2, compiled(**COPIES)))


def test_shards_are_summed_by_no_instruction() -> None:
    plan = compiled(**MAN, **COPIES)
    assert not any(isinstance(each, Reduce) for each in laid_out(plan, 0).instructions)
