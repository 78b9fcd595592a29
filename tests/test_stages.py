"""Where a network is cut into stages: the slowest takes as little as can be, and each keeps to the budget."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st

import specc
from specc.layout import every_rank, stages_of, stages_on
from specc.layout.stages import balanced, block_flops, block_seconds
from specc.plan import Plan
from specc.profiles import find
from specc.spec.load import loads
from specc.timing import step_time

from .documents import compiled

COSTS = st.lists(st.integers(1, 50), min_size=1, max_size=9)


def slowest(costs: list[int], starts: tuple[int, ...]) -> int:
    return max(sum(costs[first:end]) for first, end in pairwise((*starts, len(costs))))


def divisions(costs: list[int], count: int) -> list[tuple[int, ...]]:
    return [(0, *cuts) for cuts in combinations(range(1, len(costs)), count - 1)]


@given(COSTS, st.integers(1, 5), st.data())
def test_no_division_whose_runs_all_fit_has_a_faster_slowest_run(
    costs: list[int], count: int, data: st.DataObject
) -> None:
    runs = [(first, end) for first in range(len(costs)) for end in range(first + 1, len(costs) + 1)]
    large = data.draw(st.sets(st.sampled_from(runs)))
    found = balanced(costs, count, lambda first, end: (first, end) not in large)
    fitting = [each for each in divisions(costs, count) if large.isdisjoint(pairwise((*each, len(costs))))]
    best = min((slowest(costs, each) for each in fitting), default=inf)
    assert (inf if found is None else slowest(costs, found)) == best
    assert found is None or found in fitting


def plan_of(budget: str | None, stages: int = 2) -> Plan:
    """The first blocks have the large maps, the last ones most of the FLOPs."""
    document = {
        "specc": 1, "name": "stages",
        "data": {"dataset": "synthetic", "image_size": 32, "channels": 3, "classes": 4, "samples": 8, "batch_size": 8},
        "backbone": {"family": "vgg", "depth": 11, "hidden": 64}, "split": {"blocks": 6},
        "devices": {"block_parallel": stages},
    } | ({"budget": {"memory": budget, "on_exceed": "warn"}} if budget else {})  # fmt: skip
    return specc.compile(loads(str(document).replace("'", '"')))


def peaks(plan: Plan, starts: tuple[int, ...]) -> list[int]:
    return [rank.memory.peak_bytes for rank in every_rank(plan, starts)]


def test_a_budget_moves_the_cut_to_where_all_stages_keep_to_it() -> None:
    free = plan_of(None)
    costs = block_flops(free)
    quickest = stages_of(free)
    lowest = min(divisions(costs, 2), key=lambda each: max(peaks(free, each)))
    assert max(peaks(free, lowest)) < max(peaks(free, quickest)), "else there is nothing to choose"
    bound = plan_of(f"{max(peaks(free, lowest))}")
    found = stages_of(bound)
    assert max(peaks(bound, found)) <= max(peaks(free, lowest))
    fitting = [each for each in divisions(costs, 2) if max(peaks(free, each)) <= max(peaks(free, lowest))]
    assert slowest(costs, found) == min(slowest(costs, each) for each in fitting)


def test_where_no_division_keeps_to_the_budget_stages_are_as_without_one() -> None:
    assert stages_of(plan_of("1 MiB")) == stages_of(plan_of(None))


def test_stages_are_cut_by_time_where_that_is_known() -> None:
    plan, gpu = compiled(split={"blocks": 6}, devices={"block_parallel": 2}), find("h100")
    assert gpu is not None
    seconds = block_seconds(plan, step_time(plan, gpu).instructions)

    def longest(stages: tuple[int, ...]) -> float:
        return max(sum(seconds[: stages[1]]), sum(seconds[stages[1] :]))

    assert stages_on(plan, None) == stages_of(plan)
    assert longest(stages_on(plan, gpu)) < longest(stages_of(plan))


def test_what_decoupled_stages_learn_depends_on_no_calibration() -> None:
    plan = compiled(split={"blocks": 6}, devices={"block_parallel": 2, "mode": "decoupled"})
    assert stages_on(plan, find("h100")) == stages_of(plan)
