"""The rules by which a referee decides, each by itself: what is a win, and how long a piece of work takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import specc
from specc.compiler.variants import Prediction
from specc.fit.attempts import Candidate
from specc.fit.crossing import Known, Pair, Range, wins
from specc.fit.rivals import Rival, Rivals
from specc.fit.verdict import verdict
from specc.profiles import find
from specc.profiles.model import Curve, Table
from specc.spec.load import loads
from specc.spec.models import SpecModel
from specc.timing import Work, works
from specc.timing.measured import times_on
from specc.timing.roofline import seconds

from .documents import compiled

SHEET = replace(find("rtx3090"), launch_seconds=1e-5, efficiency={})
GIB = 1 << 30


def config(**changes: Any) -> SpecModel:
    """Of any network."""
    return compiled().config.model_copy(update=changes)


def candidate(peak: int, cost: int) -> Candidate:
    """What was compiled to that."""
    return Candidate(config(), Prediction(peak, cost))


def pair(peak: int, cost: int, low: int | None = None, again: int = 0) -> Pair:
    return Pair(candidate(peak, cost), None if low is None else candidate(low, again))


# ------------------------------------------------------------------------------------------- who wins


def test_what_differs_by_no_more_than_a_prediction_can_tell_is_no_win() -> None:
    exact, known = pair(GIB, 1000), Known(2 * GIB, local=False)
    assert wins([exact], [pair(GIB, 960)], GIB, 2 * GIB, known) is None
    assert wins([exact], [pair(GIB, 900)], GIB, 2 * GIB, known) == Range(None, int(GIB * 2 ** (10 / 11)))


def test_rows_that_were_compiled_decide_their_own_budget() -> None:
    exact, local = pair(GIB, 1000), pair(GIB, 900)
    found = wins([exact], [local], GIB, 4 * GIB, Known(int(1.2 * GIB), local=False))
    assert found is not None
    assert found.lowest is not None
    assert found.lowest > 1.2 * GIB, "of two runs the longer one"
    known = Known(int(1.2 * GIB), local=True)
    assert wins([exact], [pair(int(1.15 * GIB), 900)], GIB, 4 * GIB, known) is not None


def test_of_several_runs_the_one_with_the_known_budget_is_taken() -> None:
    """Local is faster below 1.5 GiB, where exact computes much again, nowhere else, and where rows said so."""
    exact, local = pair(2 * GIB, 1000, GIB, 3000), pair(GIB, 1500)
    short = Known(8 * GIB, local=True)
    found = wins([exact], [local], GIB, 8 * GIB, short)
    assert found == Range(8 * GIB, 8 * GIB)


def test_what_does_not_fit_even_when_all_is_computed_again_costs_more_than_anything() -> None:
    both = pair(2 * GIB, 1000, GIB, 3000)
    assert both.under(2 * GIB) == 1000
    assert both.under(3 * GIB // 2) == pytest.approx(2000)
    assert both.under(GIB) == 3000
    assert both.under(GIB - 1) == float("inf")
    assert pair(2 * GIB, 1000).under(GIB) == float("inf")


def test_a_tie_is_the_exact_ones() -> None:
    plain = Rival("e2e", candidate(2 * GIB, 1000), False, (), (), 1.0, 0.0)
    exact = Rival("e2e", candidate(GIB, 1300), True, ("micro_batches=2",), (), 1.3, 0.3)
    for cost, local in ((1290, False), (1200, True)):
        other = Rival("dgl", candidate(GIB, cost), True, ("split=2",), (), cost / 1000, 0.1)
        found = Rivals(GIB, plain.candidate, (plain, exact, other))
        assert ("is local: " in verdict(found)) == local
        assert found.chosen == (other if local else exact)


# ------------------------------------------------------------------------------------------- how long work takes


def test_arithmetic_and_memory_overlap_and_calls_do_not() -> None:
    rate, bandwidth = SHEET.rate("matmul", "fp32"), SHEET.bandwidth
    arithmetic = Work("linear", "forward", 1, int(rate), 0, int(bandwidth) // 2)
    assert seconds(arithmetic, SHEET, "fp32") == pytest.approx(1.0 + 1e-5)
    memory = replace(arithmetic, flops=int(rate) // 2, written=int(bandwidth))
    assert seconds(memory, SHEET, "fp32") == pytest.approx(1.0 + 1e-5)
    assert seconds(replace(memory, calls=1000), SHEET, "fp32") == pytest.approx(1.0 + 1e-2)


@pytest.mark.parametrize(("groups", "kind"), [(2, "grouped"), (16, "grouped"), (4, "odd groups"), (48, "depthwise")])
def test_groups_are_fast_where_libraries_have_kernels_for_them(groups: int, kind: str) -> None:
    """48 channels: 24, 3, 12 and 1 a group."""
    channels = {2: 32, 16: 64, 4: 48, 48: 48}[groups]
    document = {
        "specc": 1, "name": "groups",
        "data": {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 8, "batch_size": 8},
        "backbone": {"layers": [
            {"name": "a", "op": "conv", "out": channels},
            {"name": "b", "op": "conv", "out": channels, "groups": groups},
            {"name": "mean", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4}]},
    }  # fmt: skip
    plan = specc.compile(loads(str(document).replace("'", '"')))
    (work,) = [
        each for own in works(plan, "cuda") for each in own
        if each.what == "conv" and each.direction == "forward" and each.node and each.node.in_shapes[0][0] == channels
    ]  # fmt: skip
    slow = replace(SHEET, efficiency={kind: 0.001})
    assert seconds(work, slow, "fp32") > 2 * seconds(work, SHEET, "fp32")


def test_what_is_called_several_times_takes_as_many_times_as_long() -> None:
    table = Table(((10.0, 0.0), (20.0, 0.0)), {"forward": Curve((1e-9, 0.0, 0.0, 0.0), (1e-6, 2e-6))})
    profile = replace(SHEET, name="tables", tables={"move/add": table})
    once = Work("add", "forward", 1, 0, 1 << 11, 1 << 11)
    thrice = replace(once, read=3 << 11, written=3 << 11, calls=3)
    alone, together = times_on(profile).of([once, thrice], "fp32")
    assert together == pytest.approx(3 * alone)
