"""Batch norms of several copies normalise by the whole batch: five steps in float64 are those of one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from runtime.engine.modules import BatchNorm
from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.measure import random_batch
from specc.layout import laid_out, stages_of
from specc.plan import Layout, Plan

from .documents import HPFF, MAN, Document, compiled
from .ranks import in_ranks

STEPS = 5
LINKED: Document = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "parameter", "average_buffers": True}]}
OFTEN: Document = {"batch_norm_updates": {"default": "per_unit"}}
SLICED: Document = {"micro_batches": 2, "memory_format": "channels_last", **OFTEN}
CASES: Mapping[str, Document] = {
    "end-to-end": {"levels": [{"name": "all", "window": "all"}], "train": {"recompute": True}},
    "MAN": {**MAN, "train": OFTEN},
    "HPFF": {**HPFF, "train": SLICED},
    "MAN + HPFF": {**MAN, **HPFF, "train": {"recompute": True, **SLICED}},
    "MAN with summed weights": {**LINKED, "train": SLICED},
}


def batches(plan: Plan, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """One of every size, none like another."""
    images, labels = random_batch(plan, torch.device("cpu"))
    return [((1 + 0.1 * i) * images.double()[-size:] + i, labels[-size:]) for i, size in enumerate(sizes)]


def stepped(plan: Plan, sizes: Sequence[int]) -> dict[str, Tensor]:
    """All tensors after a step on each."""
    session = Session(plan, "cpu", torch.float64, wire=None if plan.layout is None else Wire(plan))
    session.set_lr(0.05)
    for images, labels in batches(plan, sizes):
        if plan.layout is None:
            session.train_step(images, labels)
        elif plan.layout.stage:
            session.train_step(None, None, samples=len(labels))
        else:
            own = list(plan.layout.share(len(labels)))
            session.train_step(images[own], labels[own], samples=len(labels))
    return {name: tensor.detach().clone() for name, tensor in session.model.tensors().items()}


def on_rank(rank: int, plans: Sequence[Plan], sizes: Sequence[int]) -> list[dict[str, Tensor]]:
    return [stepped(laid_out(plan, rank, stages_of(plan)), sizes) for plan in plans]


def hold(plans: Sequence[Plan], sizes: Sequence[int]) -> None:
    """Every tensor of every copy is that of one device, running statistics included."""
    ranks = in_ranks(on_rank, plans[0].config.devices.count, plans, sizes)
    for i, plan in enumerate(plans):
        wanted = stepped(plan, sizes)
        assert {name for rank in ranks for name in rank[i]} == wanted.keys()
        found = [item for rank in ranks for item in rank[i].items() if item[1].numel()]
        assert max((float((x - wanted[name]).abs().max()), name) for name, x in found) < (1e-10,)


def test_two_copies_with_uneven_parts_are_one_device() -> None:
    hold([compiled(**parts, devices={"data_parallel": 2}) for parts in CASES.values()], (6, 5, 6, 5, 6))


def test_two_copies_of_two_stages_are_one_device() -> None:
    devices = {"data_parallel": 2, "block_parallel": 2}
    hold([compiled(**CASES["MAN + HPFF"], devices=devices)], (6, 5, 6, 5, 6))


def norm_of(channels: int, rows: slice, x: Tensor, gradient: Tensor, copies: object) -> dict[str, Tensor]:
    """What a batch norm makes of some rows, there and back."""
    norm = BatchNorm(channels, 1e-5, 0.1, 2)
    norm.copies = copies
    norm.to(x.dtype)
    given = x[rows].clone().requires_grad_()
    result = norm(given)
    result.backward(gradient[rows])
    found = {"result": result, "input": given.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    return {name: tensor.detach().clone() for name, tensor in (found | dict(norm.named_buffers())).items()}


PARTS = slice(0, 1), slice(1, 5)


def norms_on_rank(rank: int, given: Sequence[tuple[Tensor, Tensor]]) -> list[dict[str, Tensor]]:
    return [norm_of(x.shape[1], PARTS[rank], x, gradient, torch.distributed.group.WORLD) for x, gradient in given]


def test_a_batch_norm_far_from_zero_is_that_of_the_whole_batch() -> None:
    torch.manual_seed(0)  # in fp32 squares of these would cancel
    given = [(torch.randn(shape) + 1000, torch.randn(shape)) for shape in ((5, 3), (5, 3, 4, 2))]
    for first, second, (x, gradient) in zip(*in_ranks(norms_on_rank, 2, given), given, strict=True):
        wanted = norm_of(3, slice(None), x.double(), gradient.double(), None)
        found = {name: torch.cat([first[name], second[name]]) for name in ("result", "input")}
        found |= {name: first[name] + second[name] for name in ("weight", "bias")}
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            assert torch.equal(first[name], second[name]), name
            found[name] = first[name]
        for name, tensor in wanted.items():
            assert torch.allclose(found[name].double(), tensor.double(), rtol=1e-5, atol=2e-3), name


@pytest.mark.parametrize(("samples", "slices", "copies"), [(7, 1, 2), (7, 2, 2), (12, 3, 4), (13, 3, 4)])
def test_copies_together_have_the_slices_of_one_device(samples: int, slices: int, copies: int) -> None:
    layouts = [Layout(copies, (0,), rank, "0" * 64, slices=slices) for rank in range(copies)]
    parts = [(list(layout.share(samples)), layout.rows(samples)) for layout in layouts]
    assert sorted(i for layout in layouts for i in layout.share(samples)) == list(range(samples))
    for number in range(slices):
        own = [share[sum(rows[:number]) :][: rows[number]] for share, rows in parts]
        first, end = number * samples // slices, (number + 1) * samples // slices
        assert sorted(i for part in own for i in part) == list(range(first, end))
        assert max(map(len, own)) - min(map(len, own)) <= 1


def test_a_slice_with_fewer_samples_than_copies_is_refused() -> None:
    plan = compiled(train={"micro_batches": 2}, devices={"data_parallel": 2})
    session = Session(laid_out(plan, 0), "cpu")
    images, labels = random_batch(plan, torch.device("cpu"))
    with pytest.raises(ValueError, match="a batch of 3 cannot be divided into 2 slices and 2 copies"):
        session.train_step(images[:2], labels[:2], samples=3)


def test_batch_norms_by_themselves_are_those_of_each_copy() -> None:
    apart = compiled(devices={"data_parallel": 2, "sync_batch_norm": False})
    found = in_ranks(on_rank, 2, [apart], (6, 6))
    first, second = (next(x for name, x in rank[0].items() if name.endswith("running_mean")) for rank in found)
    assert not torch.equal(first, second)
