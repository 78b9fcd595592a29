"""`train.graphs`: which steps are captured and replayed, and which run as ever.

A stand-in captures: it runs the step again, on the places and with the rate that the capture had. No GPU is needed, and
none has run the real thing yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from runtime import Session
from runtime.engine.graphs import WARM, Graphed
from runtime.memory.measure import random_batch
from runtime.run.saving import optimizer_tensors
from runtime.run.watching import InstructionClock
from specc.diagnostics import Diagnostic
from specc.diagnostics.notices import notice
from specc.pipeline import run_passes
from specc.spec.load import Spec
from specc.views.plan import plan_document

from .documents import MAN, Document, compiled, document, spec_of

T = TypeVar("T")
CPU = torch.device("cpu")
OPTIMIZERS: dict[str, Document] = {
    "sgd": {"name": "sgd", "lr": 0.1},
    "adamw, two groups": {"name": "adamw", "lr": 0.01, "weight_decay_exclude": ["norms", "biases"]},
}


class StandIn:
    """Does the step again, as a graph would: it reads the places that it was captured with, and nothing of the host."""

    def __init__(self, session: Session, fails: str = "") -> None:
        self.session, self.fails = session, fails
        self.warmed = self.captured = self.replayed = 0

    @property
    def groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.session.optimizers.values() for group in optimizer.param_groups]

    def warm(self, step: Callable[[], T]) -> T:
        self.warmed += 1
        return step()

    def capture(self, step: Callable[[], T]) -> Callable[[], T]:
        if self.fails:
            raise RuntimeError(self.fails)
        self.captured += 1
        seen = [group["lr"] for group in self.groups]
        assert all(isinstance(lr, Tensor) for lr in seen)
        assert all(group.get("capturable", True) for group in self.groups)

        def replay() -> T:
            self.replayed += 1
            for group, lr in zip(self.groups, seen, strict=True):
                group["lr"], group["host"] = lr, group["lr"]
            try:
                return step()
            finally:
                for group in self.groups:
                    group["lr"] = group.pop("host")

        return replay


@pytest.fixture(autouse=True)
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    with notice.heard(lines.append):
        yield lines


def captured(session: Session, **how: str) -> StandIn:
    by = StandIn(session, **how)
    session.graphed = Graphed(session._computed, session.optimizers, by)
    return by


def state(session: Session) -> dict[str, Tensor]:
    average = {f"average/{k}": v for k, v in session.average.tensors.items()} if session.average else {}
    return session.model.tensors() | optimizer_tensors(session) | average


def steps(session: Session, rates: list[float], sizes: list[int] | None = None) -> list[dict[str, float]]:
    """The losses of each step, on a batch of its own."""
    images, labels = random_batch(session.plan, CPU)
    found = []
    for number, rate in enumerate(rates):
        size = sizes[number] if sizes else len(labels)
        session.set_lr(rate)
        torch.manual_seed(number)
        step = session.train_step(images.roll(number, 2)[:size], labels.roll(number)[:size])
        found.append({unit: float(total) for unit, total in step.total.items()})
    return found


RATES = [0.125, 0.125, 0.125, 0.0625, 0.03125, 0.25]  # a place for the rate holds an fp32 number


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_replayed_steps_are_those_that_would_have_run(optimizer: str, said: list[str]) -> None:
    """New batches and new rates reach them; what is not of the step itself goes on beside it."""
    plan = compiled(**MAN, train={"optimizer": OPTIMIZERS[optimizer], "weight_average": {"decay": 0.5}})
    plain, session = Session(plan), Session(plan)
    by = captured(session)
    assert steps(session, RATES) == steps(plain, RATES)
    assert (by.warmed, by.captured, by.replayed) == (WARM, 1, len(RATES) - WARM)
    expected = state(plain)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state(session).items())
    assert [group["lr"] for group in by.groups] == [0.25] * len(by.groups)  # numbers, as a checkpoint has them
    assert not any(group.get("capturable") for group in by.groups)
    assert said == []


def test_a_batch_of_another_size_runs_as_ever() -> None:
    plan = compiled()
    plain, session = Session(plan), Session(plan)
    by = captured(session)
    sizes = [6, 6, 6, 4, 6, 4]
    assert steps(session, RATES, sizes) == steps(plain, RATES, sizes)
    assert (by.captured, by.replayed) == (1, 2)
    expected = state(plain)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state(session).items())


def test_steps_that_are_watched_run_as_ever() -> None:
    """A graph has no instructions that one could be told of."""
    session, clock = Session(compiled()), InstructionClock(CPU)
    by = captured(session)
    with clock.timing(session.executor):
        steps(session, RATES[:1])
    assert len(clock.medians()) == len(session.plan.instructions) + 1
    assert by.warmed == 0
    steps(session, RATES)
    assert by.replayed == len(RATES) - WARM
    with clock.timing(session.executor):
        steps(session, RATES[:1])
    assert by.replayed == len(RATES) - WARM


def test_steps_that_leave_their_gradients_run_as_ever() -> None:
    session = Session(compiled())
    by = captured(session)
    steps(session, RATES)
    images, labels = random_batch(session.plan, CPU)
    session.train_step(images, labels, update=False)
    assert by.replayed == len(RATES) - WARM
    assert any(parameter.grad is not None for _, parameter in session.named_parameters())


def test_what_cannot_be_captured_is_said_once_and_runs_as_ever(said: list[str]) -> None:
    plan = compiled()
    plain, session = Session(plan), Session(plan)
    by = captured(session, fails="operation not permitted when stream is capturing\nmore")
    assert steps(session, RATES) == steps(plain, RATES)
    assert by.replayed == 0
    assert [group["lr"] for group in by.groups] == [0.25] * len(by.groups)
    assert said == ["warning: the step is not captured (`train.graphs`), and runs as it is: "
                    "operation not permitted when stream is capturing"]  # fmt: skip


# ---------------------------------------------------------------------------------------------- what a spec says


def codes_of(spec: Spec) -> list[Diagnostic]:
    return [found for found in run_passes(spec).diagnostics if found.code == "SPC618"]


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ({"precision": "fp16"}, "finite"),
        ({"optimizer": {"name": "rmsprop"}}, "`rmsprop` decides on the host"),
        ({"schedule": {"name": "one_cycle"}}, "momentum"),
    ],
    ids=["fp16", "a looped optimizer", "a cycled momentum"],
)
def test_what_the_host_decides_cannot_be_captured(train: Document, reason: str) -> None:
    found = codes_of(spec_of(document(train={"epochs": 9, "graphs": True} | train)))
    assert [reason in d.message for d in found] == [True]
    assert codes_of(spec_of(document(train={"epochs": 9} | train))) == []


def test_a_processor_has_no_graphs(said: list[str]) -> None:
    spec = spec_of(document(train={"graphs": True}))
    assert codes_of(spec) == []
    assert [d.code for d in codes_of(spec.on("cpu"))] == ["SPC618"]
    session = Session(compiled(train={"graphs": True}))  # planned for a GPU, and run elsewhere
    assert session.graphed is None
    assert said == ["warning: `train.graphs` has no effect: there is no CUDA graph on a processor"]


def test_a_plan_says_what_a_captured_step_keeps() -> None:
    (line,) = plan_document(compiled(train={"graphs": True}))["memory"]["not_known"]
    assert line.startswith("`train.graphs`")
