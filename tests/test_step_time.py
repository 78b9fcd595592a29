"""The time of a step on a device of which a profile is known: what is counted, and what follows of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

import specc
from specc.plan import Plan
from specc.plan.flops import step_flops
from specc.profiles import find
from specc.spec.load import loads
from specc.timing import Work, step_time, works

from .documents import HPFF, MAN, compiled, documents

SHEET = find("rtx3090")
PRODUCTS = {"conv", "conv_transpose", "linear", "mixing"}


def everything(plan: Plan) -> list[Work]:
    return [work for own in works(plan, "cuda") for work in own]


def products(plan: Plan) -> int:
    """FLOPs of matrix products and convolutions."""
    return sum(work.flops for work in everything(plan) if work.what in PRODUCTS)


@given(documents())
@settings(max_examples=25)
def test_a_step_takes_as_long_as_its_instructions_which_all_do_something(document: Any) -> None:
    plan = specc.compile(loads(json.dumps(document), "generated"))
    found = step_time(plan, SHEET)
    assert len(found.instructions) == len(plan.instructions)
    assert min(found.instructions) >= 0
    assert found.seconds == pytest.approx(sum(found.by_kind.values()))
    assert found.images_per_second == pytest.approx(plan.config.data.batch_size / found.seconds)
    assert products(plan) <= step_flops(plan) * plan.config.data.batch_size


@given(documents())
@settings(max_examples=15)
def test_a_larger_batch_takes_longer(document: Any) -> None:
    small = loads(json.dumps(document), "generated")
    data = small.config.data.model_copy(update={"batch_size": 2 * small.config.data.batch_size})
    large = small.with_config(small.config.model_copy(update={"data": data}))
    assert step_time(specc.compile(small), SHEET).seconds < step_time(specc.compile(large), SHEET).seconds


def test_what_trains_all_of_a_perceptron_computes_the_flops_that_a_plan_counts() -> None:
    layers = [{"name": f"l{i}", "op": "linear", "out": 8, "bias": False} for i in range(3)]
    plan = compiled(
        backbone={"layers": [{"name": "flat", "op": "flatten"}, *layers, {"name": "out", "op": "linear", "out": 4}]},
        split={"blocks": 1}, auxiliary={},
    )  # fmt: skip
    first = next(work for work in everything(plan) if work.what == "linear").flops
    whole = step_flops(plan) * plan.config.data.batch_size
    assert sum(work.flops for work in everything(plan) if work.node) == whole - first, "images need no gradient"


@pytest.mark.parametrize("more", [{}, MAN, HPFF], ids=["classifiers", "man", "hpff"])
def test_recomputation_adds_the_forward_of_what_is_needed_again_and_nothing_else(more: Any) -> None:
    kept, again = compiled(**more), compiled(**more, train={"recompute": True})

    def ops(plan: Plan, direction: str) -> int:
        return sum(work.direction == direction and work.node is not None for work in everything(plan))

    for direction in ("input", "parameters"):
        assert ops(again, direction) == ops(kept, direction)
    assert products(kept) < products(again)
    assert step_time(again, SHEET).seconds > step_time(kept, SHEET).seconds


def test_slices_compute_the_same_in_more_calls() -> None:
    whole, sliced = compiled(), compiled(train={"micro_batches": 3})
    assert products(whole) == products(sliced)
    assert sum(w.calls for w in everything(sliced)) > 2 * sum(w.calls for w in everything(whole))


def test_only_a_backward_that_goes_on_makes_the_gradient_of_its_input() -> None:
    """The first convolution reads images: nobody asks for their gradient."""
    convolutions = [work for work in everything(compiled()) if work.what == "conv" and work.node]
    first = convolutions[0].node
    assert first is not None
    assert [work.direction for work in convolutions if work.node == first] == ["forward", "parameters"]


def test_the_optimizer_reads_and_writes_its_state() -> None:
    def step(name: str) -> Work:
        plan = compiled(train={"optimizer": {"name": name}})
        return next(work for work in everything(plan) if work.what == f"step/{name}")

    sgd, adamw = step("sgd"), step("adamw")
    assert sgd.calls == adamw.calls > 1, "one for each tensor"
    assert adamw.moved > sgd.moved > 0


def test_a_device_with_twice_of_everything_takes_half_the_time() -> None:
    twice = replace(
        SHEET, bandwidth=2 * SHEET.bandwidth, launch_seconds=SHEET.launch_seconds / 2,
        rates={kind: {p: 2 * rate for p, rate in own.items()} for kind, own in SHEET.rates.items()},
    )  # fmt: skip
    plan = compiled(**MAN)
    assert step_time(plan, twice).seconds == pytest.approx(step_time(plan, SHEET).seconds / 2)


def test_low_precision_is_faster_where_the_device_is() -> None:
    slow = replace(SHEET, bandwidth=1e18, launch_seconds=0.0)
    fp32, bf16 = (step_time(compiled(train={"precision": name}), slow).by_kind["conv"] for name in ("fp32", "bf16"))
    rates = SHEET.rates["conv"]
    assert fp32 / bf16 == pytest.approx(rates["bf16"] / rates["fp32"])
