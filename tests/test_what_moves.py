"""Small rules of what ranks send one another, and of what they tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from runtime.distributed import pulse
from runtime.distributed.agreement import difference, facts
from runtime.distributed.pulse import Beat, silent
from runtime.distributed.world import World
from runtime.engine import groups, wire
from runtime.engine.borrowed import Borrowed
from runtime.engine.session import Session
from runtime.run.ranks import Ranks
from runtime.run.team import GO_ON, SAVE, STOP
from specc.layout import every_rank
from specc.layout.witness import witness
from specc.plan import Free, Instruction, Layout, ReceiveSources, Reduce, Step
from specc.plan.buckets import buckets

from .documents import MAN, compiled
from .ranks import in_ranks


def test_a_message_is_of_as_many_gradients_as_there_is_room_for() -> None:
    assert [*buckets([10, 20, 60, 90, 10, 60], lambda size: size, most=70)] == [[10, 20], [60], [90], [10, 60]]


def test_what_one_copy_has_less_of_a_slice_it_has_more_of_the_next() -> None:
    copies = [Layout(2, (0,), rank, "0" * 64, slices=2) for rank in range(2)]
    assert [each.rows(6) for each in copies] == [[1, 2], [2, 1]]
    assert sorted(i for each in copies for i in each.share(6)) == [*range(6)]


def test_a_sum_begins_with_the_last_of_its_gradients() -> None:
    """What follows, of other blocks, is computed meanwhile; only other steps come before it."""
    own = every_rank(compiled(**MAN, devices={"data_parallel": 2}))[0]
    computed: list[Instruction] = []
    for each in own.instructions:
        if isinstance(each, Reduce):
            assert f"grads:{each.group}" in computed[-1].writes
        elif not isinstance(each, Step | Free):
            computed.append(each)


@pytest.mark.parametrize(
    "x", [torch.arange(24.0).view(4, 6)[:, ::2], torch.ones(3, 1).expand(3, 4)], ids=["gaps", "one"]
)
def test_a_gradient_goes_without_what_lies_between_and_once(x: torch.Tensor) -> None:
    parameter = nn.Parameter(torch.zeros(x.shape))
    parameter.grad = x.clone(memory_format=torch.preserve_format) if 0 in x.stride() else x
    message = wire._message([parameter])
    assert message.numel() == x.numel()
    message.mul_(2)
    assert torch.equal(parameter.grad, 2 * x), "it is the message"


def test_gradients_of_one_message_are_views_of_it_as_they_lay() -> None:
    own = [nn.Parameter(torch.zeros(2, 3, 2, 2)), nn.Parameter(torch.zeros(5))]
    before = [torch.rand(2, 3, 2, 2).contiguous(memory_format=torch.channels_last), torch.rand(5)]
    for parameter, gradient in zip(own, before, strict=True):
        parameter.grad = gradient.clone(memory_format=torch.preserve_format)
    wire._message(own).mul_(2)
    for parameter, gradient in zip(own, before, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, 2 * gradient)
        assert parameter.grad.stride() == gradient.stride()


def test_what_is_lent_first_is_what_the_other_stage_would_draw() -> None:
    links = [{"from": "next", "average_buffers": True}]
    plan = compiled(ema_links=links)
    own = every_rank(plan, (0, 2))[0]
    (lent,) = (each for each in own.instructions if isinstance(each, ReceiveSources))
    borrowed = Borrowed(own, lent, torch.device("cpu"), torch.float64)
    borrowed.reset(plan.config.train.seed)
    whole = Session(plan, "cpu", torch.float64).model.tensors()
    assert set(borrowed.tensors) == set(lent.tensors)
    for name, tensor in borrowed.tensors.items():
        assert torch.equal(tensor, whole[name].detach()), name


def test_weights_are_lent_in_the_order_in_which_they_are_averaged() -> None:
    """With statistics, which change until the average, before those without, which could be lent at once."""
    levels = [
        {"name": "one", "window": 1},
        {"name": "other", "window": 1, "auxiliary": {"classifier": {"layers": "0c1f"}}},
    ]
    for first, second in (("one", "other"), ("other", "one")):
        links = [{"from": "next", "levels": [first], "average_buffers": True}, {"from": "next", "levels": [second]}]
        plan = compiled(levels=levels, ema_links=links, train={"micro_batches": 2}, schedule={"order": "slices"})
        assert witness(plan, every_rank(plan, (0, 2))) == []


def waiting(rank: int) -> list[float]:
    """How long groups wait that are made beside the default one, in seconds."""
    options = (own._get_backend(torch.device("cpu")).options for own in (groups.new_group(), groups.new_group([0, 1])))
    return [each._timeout.total_seconds() for each in options]


def test_groups_wait_as_long_as_the_default_one() -> None:
    assert in_ranks(waiting, 2, timeout=33.0) == [[66.0, 66.0]] * 2


def wishing(rank: int) -> list[int]:
    """What a rank hears after each of some steps, in which the other one wishes something; then the run is saved."""
    team = Ranks()
    team._ahead = 2
    heard = []
    for step in range(5):
        heard.append(team.beat(STOP if (rank, step) == (1, 1) else SAVE if (rank, step) == (0, 0) else GO_ON))
    team.beat(SAVE if rank else GO_ON)
    team.settle()
    return [*heard, team.beat(GO_ON)]


def test_all_ranks_hear_of_a_wish_after_the_same_step_and_stopping_is_not_forgotten() -> None:
    assert in_ranks(wishing, 2) == [[GO_ON, GO_ON, SAVE, STOP, GO_ON, GO_ON]] * 2


def stopping(rank: int) -> list[int]:
    """A wish to stop that is on its way when the run is saved."""
    team = Ranks()
    team._ahead = 2
    heard = [team.beat(STOP if rank else GO_ON)]
    team.settle()
    return [*heard, team.beat(GO_ON)]


def test_a_wish_to_stop_outlives_a_checkpoint() -> None:
    assert in_ranks(stopping, 2) == [[GO_ON, STOP]] * 2


def test_ranks_agree_on_all_that_decides_numbers_and_on_nothing_else() -> None:
    def of(**parts: Any) -> Any:
        return facts(compiled(**parts), "cpu")

    assert difference(1, of(), of()) is None
    data = {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 24, "batch_size": 6}
    assert difference(1, of(data=data | {"workers": 1}), of(data=data)) is None
    for other in ({"data": data | {"batch_size": 8}}, MAN, {"train": {"seed": 1}}):
        found = difference(1, of(**other), of(data=data))
        assert found is not None
        assert found[0] == "rank 1 has another spec than rank 0"


class Store:
    """What ranks have said, of which some is said anew whenever it is asked for."""

    def __init__(self, beating: Sequence[int], waiting: Sequence[int], said: dict[str, str] | None = None) -> None:
        self.beating, self.waiting, self.said, self.count = beating, waiting, said or {}, 0

    def check(self, keys: list[str]) -> bool:
        return keys[0].startswith("beat/") or keys[0] in self.said

    def get(self, key: str) -> bytes:
        if key in self.said:
            return self.said[key].encode()
        self.count += 1
        rank = int(key.removeprefix("beat/"))
        count = self.count if rank in self.beating else 0
        return json.dumps({"count": count, "at": "", "waits": rank in self.waiting, "host": "h", "pid": 1}).encode()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse.time, "sleep", lambda _: None)


@pytest.mark.parametrize(
    ("beating", "waiting", "wanted"), [([1, 2], [1, 2], None), ([1, 2], [1], 2), ([1], [1], 2), ([2], [1], 1)]
)
def test_who_says_nothing_is_blamed_and_else_who_waits_for_nobody(
    beating: Sequence[int], waiting: Sequence[int], wanted: int | None
) -> None:
    found = silent(Store(beating, waiting), 0, 3, 0.0)
    assert (found and found[0]) == wanted
    assert found is None or isinstance(found[1], Beat)


@pytest.mark.parametrize(
    ("said", "told"),
    [("rank 1: the loss `a` of `b` is nan", "rank 1: the loss `a` of `b` is nan"),
     ("out of memory", "rank 1 has ended: out of memory")],
)  # fmt: skip
def test_what_another_rank_ended_of_is_told_with_its_number_once(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.distributed.world.SIGNALS", ())  # this process goes on
    world = object.__new__(World)
    world.rank, world.count, world.timeout = 0, 2, 1.0
    world.pulse = type("Pulse", (), {"store": Store([], [], {"ended/1": said}), "every": 0.0, "running": lambda: None})  # type: ignore[assignment]
    found = world.lost(dist.DistBackendError("Connection closed by peer"))
    assert str(found) == told
