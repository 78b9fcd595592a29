"""GPipe and 1F1B of a network trained end to end: orders, idle time by the formula, memory by what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from specc.layout import every_rank
from specc.layout.pipelines import Arrange, bubble, gpipe, one_forward_one_backward
from specc.layout.simulate import simulate
from specc.layout.timed import Rank
from specc.plan import Backward, Forward, Plan
from specc.timing.events import Links

from .documents import compiled, document

STAGES = (0, 1, 2, 3)
DATA = document()["data"] | {"batch_size": 16}


def whole(slices: int) -> Plan:
    """One unit over four blocks: what is learnt end to end."""
    return compiled(
        data=DATA, levels=[{"name": "whole", "window": 4}], train={"micro_batches": slices},
        devices={"block_parallel": 4},
    )  # fmt: skip


def turns(plan: Plan) -> list[str]:
    found = (each for each in plan.instructions if isinstance(each, Forward | Backward))
    return [("F" if isinstance(each, Forward) else "B") + str(each.slice) for each in found]


def test_gpipe_computes_all_slices_forward_and_then_all_backward() -> None:
    for plan in every_rank(whole(3), STAGES, gpipe):
        assert turns(plan) == ["F0", "F1", "F2", "B0", "B1", "B2"]


def test_1f1b_alternates_as_soon_as_the_pipeline_is_full() -> None:
    first, second, third, last = map(turns, every_rank(whole(4), STAGES, one_forward_one_backward))
    assert last == ["F0", "B0", "F1", "B1", "F2", "B2", "F3", "B3"]
    assert third == ["F0", "F1", "B0", "F2", "B1", "F3", "B2", "B3"]
    assert second == ["F0", "F1", "F2", "B0", "F3", "B1", "B2", "B3"]
    assert first == ["F0", "F1", "F2", "F3", "B0", "B1", "B2", "B3"]


def equal(plans: tuple[Plan, ...]) -> Iterator[Rank]:
    """Every stage takes one second for a slice forward, two backward, and no time for anything else."""
    for plan in plans:
        seconds = {"forward": 1.0, "backward": 2.0}
        yield Rank(plan, tuple(seconds.get(each.kind, 0.0) for each in plan.instructions))


@pytest.mark.parametrize("arrange", [gpipe, one_forward_one_backward])
@pytest.mark.parametrize("slices", [1, 4, 7])
def test_equal_stages_are_idle_for_the_share_that_the_formula_says(arrange: Arrange, slices: int) -> None:
    found = simulate(tuple(equal(every_rank(whole(slices), STAGES, arrange))), Links(1e30))
    assert found.step_seconds == pytest.approx(3 * (slices + 3))
    assert found.idle == pytest.approx([bubble(4, slices)] * 4)


def kept(plan: Plan) -> int:
    """How many slices a stage keeps at most."""
    alive = most = 0
    for turn in turns(plan):
        alive += 1 if turn[0] == "F" else -1
        most = max(most, alive)
    return most


@pytest.mark.parametrize("slices", [2, 8])
def test_gpipe_keeps_all_slices_and_1f1b_as_many_as_stages_come_after(slices: int) -> None:
    plan = whole(slices)
    assert [kept(own) for own in every_rank(plan, STAGES, gpipe)] == [slices] * 4
    assert [kept(own) for own in every_rank(plan, STAGES, one_forward_one_backward)] == [
        min(slices, 4 - stage) for stage in range(4)
    ]


def activations(order: Arrange) -> Callable[[int], int]:
    plans = every_rank(whole(8), STAGES, order)
    return lambda stage: max(moment.categories.get("activations", 0) for moment in plans[stage].memory.timeline)


def test_predicted_activations_are_those_of_the_slices_that_are_kept() -> None:
    all_at_once, in_turn = activations(gpipe), activations(one_forward_one_backward)
    for stage, most in enumerate((0.65, 0.55, 0.45, 0.35)):
        assert in_turn(stage) < most * all_at_once(stage)
    assert in_turn(0) > 0.45 * all_at_once(0)
