"""Five float64 steps on several real ranks are those of one: stages to the bit, copies to the order of their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.measure import random_batch
from specc.layout import laid_out, stages_of
from specc.plan import Layout, Plan

from .documents import HPFF, MAN, Document, compiled
from .ranks import in_ranks

STEPS = 5
Found = dict[str, dict[str, Tensor]]  # tensors, optimizer state, losses and logits


def batches(plan: Plan, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Of every step, so many samples of one batch each."""
    images, labels = random_batch(plan, torch.device("cpu"))
    return [(images.double()[-size:], labels[-size:]) for size in sizes]


def steps_of(session: Session, sizes: Sequence[int]) -> Found:
    """What five steps leave behind, and what they have said."""
    session.set_lr(0.05)
    layout, said = session.plan.layout, dict[str, Tensor]()
    for step, (images, labels) in enumerate(batches(session.plan, sizes)):
        if layout is None:
            found = session.train_step(images, labels)
        elif layout.stage:
            found = session.train_step(None, None, samples=len(labels))
        else:
            own = list(layout.share(len(labels)))
            found = session.train_step(images[own], labels[own], samples=len(labels))
        said |= {f"{step}/{unit}.{term}": x for unit, terms in found.losses.items() for term, x in terms.items()}
        if found.logits is not None:
            said[f"{step}/logits"] = placed(found.logits, layout, len(labels))
    return {"tensors": session.model.tensors(), "state": state_of(session), "averages": averages_of(session),
            "said": said}  # fmt: skip


def placed(logits: Tensor, layout: Layout | None, samples: int) -> Tensor:
    """A copy's where they are in the whole batch's."""
    if layout is None:
        return logits
    whole = logits.new_zeros(samples, *logits.shape[1:])
    whole[list(layout.share(samples))] = logits.detach()
    return whole


def state_of(session: Session) -> dict[str, Tensor]:
    """Of the optimizers, by the names of their parameters."""
    names = {parameter: name for name, parameter in session.named_parameters()}
    return {
        f"{names[parameter]}/{key}": x
        for optimizer in session.optimizers.values()
        for parameter, state in optimizer.state.items()
        for key, x in state.items()
        if isinstance(x, Tensor)
    }


def averages_of(session: Session) -> dict[str, Tensor]:
    return dict(session.average.tensors) if session.average else {}


def on_ranks(rank: int, plan: Plan, stages: Sequence[int], sizes: Sequence[int]) -> Found:
    """What a rank of a layout finds."""
    own = laid_out(plan, rank, stages)
    return detached(steps_of(Session(own, "cpu", torch.float64, wire=Wire(own)), sizes))


def detached(found: Found) -> Found:
    return {kind: {name: x.detach().clone() for name, x in of.items()} for kind, of in found.items()}


def alone(plan: Plan, sizes: Sequence[int]) -> Found:
    """The same steps on one device."""
    return detached(steps_of(Session(plan, "cpu", torch.float64), sizes))


def together(ranks: Sequence[Found], plan: Plan, stages: Sequence[int]) -> Found:
    """What all ranks have: stages one after the other, copies added up (what was said) or all the same."""
    copies = [ranks[first : first + len(stages)] for first in range(0, len(ranks), len(stages))]
    found: Found = {}
    for kind in ranks[0]:
        by_copy = [{name: x for rank in copy for name, x in rank[kind].items()} for copy in copies]
        assert sum(len(rank[kind]) for rank in copies[0]) == len(by_copy[0]), "two stages have one tensor"
        first, *others = by_copy
        if kind == "said":
            first = {name: torch.stack([own[name] for own in by_copy]).sum(0) for name in first}
        else:
            for other in others:
                assert all(torch.equal(first[name], other[name]) for name in first), "copies drift apart"
        found[kind] = first
    return found


def hold(plan: Plan, *, within: float = 0.0, sizes: Sequence[int] = (6,) * STEPS) -> None:
    """Every tensor that one device has is on one of several, and off by no more than this."""
    stages = stages_of(plan)
    ranks = in_ranks(on_ranks, plan.config.devices.count, plan, stages, sizes)
    found, wanted = together(ranks, plan, stages), alone(plan, sizes)
    for kind, of in wanted.items():
        assert found[kind].keys() == of.keys(), kind
        assert not of or max(off(found[kind][name], x) for name, x in of.items()) <= within, kind


def off(found: Tensor, wanted: Tensor) -> float:
    """Relative to the largest."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1.0)) if found.numel() else 0.0


ALL: Document = {"levels": [{"name": "all", "window": "all"}]}
METHODS: Mapping[str, Document] = {
    "end-to-end in one unit": ALL,
    "MAN": MAN,
    "HPFF": HPFF,
    "MAN + HPFF": {**MAN, **HPFF},
}
LINKS: Mapping[str, Document] = {
    "branch": {"bias": "branch", "average_buffers": True},
    "scaled": {"bias": "scaled", "init": "copy"},
    "parameter": {"bias": "parameter", "init": "copy"},
    "none": {"bias": "none"},
}
EVERYTHING: Document = {
    "optimizer": {"name": "adamw", "lr": 0.01}, "clip": {"norm": 0.5}, "weight_average": {"decay": 0.9},
    "label_smoothing": 0.1, "memory_format": "channels_last", "batch_norm_updates": {"default": "per_unit"},
    "micro_batches": 2,
}  # fmt: skip
UNEVEN = (6, 5, 6, 4, 5)


@pytest.mark.parametrize("stages", [2, 4])
@pytest.mark.parametrize("method", METHODS)
def test_stages_are_one_device_to_the_bit(method: str, stages: int) -> None:
    hold(compiled(**METHODS[method], devices={"block_parallel": stages}))


@pytest.mark.parametrize("link", LINKS)
def test_stages_with_slices_links_clipping_and_averages_are_one_device_to_the_bit(link: str) -> None:
    order = "slices" if link in ("branch", "none") else "blocks"
    parts = {**HPFF, "ema_links": [{"from": "next", **LINKS[link]}], "schedule": {"order": order}}
    hold(compiled(**parts, train=EVERYTHING, devices={"block_parallel": 4}), sizes=UNEVEN)


def test_stages_of_an_end_to_end_network_with_slices_are_one_device_to_the_bit() -> None:
    hold(compiled(**ALL, train=EVERYTHING, devices={"block_parallel": 4}), sizes=UNEVEN)


def layers(norm: Document) -> Document:
    """Four blocks of a convolution and a normalization each, which is none over the batch."""
    blocks = [[{"name": f"conv{i}", "op": "conv", "out": 4, "k": 3, "pad": 1},
               {"name": f"norm{i}", **norm}, {"name": f"relu{i}", "op": "relu"}] for i in range(4)]  # fmt: skip
    end = [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": 4}]
    return {"backbone": {"layers": [*(layer for block in blocks for layer in block), *end]},
            "split": {"after": [f"relu{i}" for i in range(3)]}}  # fmt: skip


NORMS = {"group norm": {"op": "group_norm", "groups": 2}, "layer norm": {"op": "layer_norm"}}
TWO_LEVELS: Document = {
    "levels": [{"name": "one", "window": 1, "weight": 0.25}, {"name": "two", "window": 2, "weight": 0.75}]
}
OF_COPIES: Mapping[str, Document] = {
    "end-to-end in one unit": ALL, "MAN": MAN, "HPFF": TWO_LEVELS, "MAN + HPFF": {**MAN, **TWO_LEVELS},
}  # fmt: skip
NO_BATCH_NORM: Document = {"auxiliary": {"classifier": {"layers": "0c1f"}}}


@pytest.mark.parametrize("norm", ["group norm", pytest.param("layer norm", marks=pytest.mark.full)])
@pytest.mark.parametrize("method", OF_COPIES)
def test_copies_are_one_device(method: str, norm: str) -> None:
    parts = {**layers(NORMS[norm]), **NO_BATCH_NORM, **OF_COPIES[method]}
    hold(compiled(**parts, devices={"data_parallel": 2}), within=1e-10, sizes=UNEVEN)


@pytest.mark.parametrize("copies", [2, 4])
def test_copies_with_slices_links_clipping_and_averages_are_one_device(copies: int) -> None:
    train = {key: value for key, value in EVERYTHING.items() if key != "batch_norm_updates"}
    parts = {**layers(NORMS["group norm"]), **NO_BATCH_NORM, **OF_COPIES["MAN + HPFF"], "train": train}
    plan = compiled(**parts, devices={"data_parallel": copies}, data=BATCH_OF_NINE)
    hold(plan, within=1e-10, sizes=(9, 8, 9, 9, 8))


BATCH_OF_NINE = {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 24, "batch_size": 9}


@pytest.mark.parametrize("method", OF_COPIES)
def test_copies_of_stages_are_one_device(method: str) -> None:
    parts = {**layers(NORMS["group norm"]), **NO_BATCH_NORM, **OF_COPIES[method], "train": {"clip": {"norm": 0.5}}}
    devices = {"data_parallel": 2, "block_parallel": 2}
    hold(compiled(**parts, devices=devices), within=1e-10, sizes=UNEVEN)
