"""Decoupled stages: how old the weights are that averages follow, and that nothing else differs."""

from __future__ import annotations

import json
from collections import deque
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import specc
from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.measure import random_batch
from specc.layout import laid_out, stages_of
from specc.plan import LinkPlan, Plan
from specc.spec.load import loads

from .ranks import in_ranks

STEPS, LR = 7, 0.05


def plan_of(staleness: int, *, links: bool, stages: int = 2) -> Plan:
    """Four blocks of a small network."""
    document: dict[str, Any] = {
        "specc": 1, "name": "decoupled",
        "data": {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 16, "batch_size": 4},
        "backbone": {"family": "resnet_cifar", "depth": 14},
        "split": {"after": ["stage1.0", "stage2.0", "stage3.0"]},
        "devices": {"block_parallel": stages, "mode": "decoupled", "staleness": staleness},
    }  # fmt: skip
    if links:
        document["ema_links"] = [{"from": "next", "momentum": 0.5}]
    return specc.compile(loads(json.dumps(document)))


def trained(session: Session, plan: Plan, **more: Any) -> dict[str, Tensor]:
    """What some steps on one batch make of the weights."""
    session.set_lr(LR)
    images, labels = random_batch(plan, torch.device("cpu"))
    batch = (images.double(), labels) if not more or session.plan.layout is None else more.pop("batch")
    for _ in range(STEPS):
        session.train_step(*batch, **more)
    session.finish()
    return {name: tensor.detach().clone() for name, tensor in session.model.tensors().items()}


def work(rank: int, plan: Plan) -> dict[str, Tensor]:
    """On one rank."""
    own = laid_out(plan, rank, stages_of(plan))
    session = Session(own, "cpu", torch.float64, wire=Wire(own))
    images, labels = random_batch(plan, torch.device("cpu"))
    batch = (images.double(), labels) if rank == 0 else (None, None)
    return trained(session, plan, batch=batch, samples=4)


@cache
def on_stages(staleness: int, *, links: bool, stages: int = 2) -> dict[str, Tensor]:
    """The weights of all ranks together."""
    plan = plan_of(staleness, links=links, stages=stages)
    found = in_ranks(work, len(stages_of(plan)), plan)
    return {name: tensor for each in found for name, tensor in each.items()}


class Late:
    """In one process: averages across stages follow the weights of so many steps ago, and of the first step before."""

    def __init__(self, session: Session, plan: Plan, staleness: int) -> None:
        self.session, self.starts = session, stages_of(plan)
        self.seen: deque[dict[str, Tensor]] = deque(maxlen=staleness + 1)
        self.own, session.model.update_averages = session.model.update_averages, self.update
        self.unit = {link.ema: unit for unit in plan.units for link in unit.links}
        self.blocks = {block.name: block.index for block in plan.blocks}

    def stage(self, block: int) -> int:
        return sum(start <= block for start in self.starts)

    def remember(self) -> None:
        """The weights before a step."""
        self.seen.append({name: tensor.detach().clone() for name, tensor in self.session.model.tensors().items()})

    @torch.no_grad()
    def update(self, link: LinkPlan) -> None:
        """One average."""
        if self.stage(self.blocks[link.source_block]) == self.stage(self.unit[link.ema].end):
            self.own(link)
            return
        tensors = self.session.model.tensors()
        for copy, source in link.sources.items():
            tensors[copy].lerp_(self.seen[0][source], 1 - link.momentum)


@pytest.mark.parametrize("staleness", [1, 3])
def test_averages_follow_weights_that_are_so_many_steps_old(staleness: int) -> None:
    plan = plan_of(staleness, links=True)
    session = Session(plan, "cpu", torch.float64)
    session.set_lr(LR)
    late = Late(session, plan, staleness)
    images, labels = random_batch(plan, torch.device("cpu"))
    for _ in range(STEPS):
        late.remember()
        session.train_step(images.double(), labels)
    found = on_stages(staleness, links=True)
    assert found.keys() == session.model.tensors().keys()
    for name, tensor in session.model.tensors().items():
        torch.testing.assert_close(found[name], tensor.detach(), rtol=0, atol=1e-13, msg=name)


def test_it_is_another_algorithm_where_links_cross_stages() -> None:
    plan = plan_of(3, links=True)
    found, plain = on_stages(3, links=True), trained(Session(plan, "cpu", torch.float64), plan)
    assert any(not torch.equal(found[name], plain[name]) for name in plain)


def test_without_links_across_stages_every_number_is_that_of_one_device() -> None:
    plan = plan_of(3, links=False, stages=3)
    found, plain = on_stages(3, links=False, stages=3), trained(Session(plan, "cpu", torch.float64), plan)
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_what_is_on_its_way_counts_for_as_many_steps_as_a_stage_may_be_ahead() -> None:
    peaks = [laid_out(plan := plan_of(ahead, links=True), 0, stages_of(plan)).memory.peak_bytes for ahead in (1, 2, 5)]
    assert peaks[1] - peaks[0] > 0
    assert peaks[2] - peaks[1] == 3 * (peaks[1] - peaks[0])
