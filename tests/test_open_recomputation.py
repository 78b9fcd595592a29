"""`train.recompute: {fit: {}}`: the budget decides which layers are computed again, and that is what is compiled."""

from __future__ import annotations

from typing import Any

import pytest

import specc
from specc.compiler.draft import Draft
from specc.fit.recomputation import best
from specc.pipeline import PREDICTING, run_passes
from specc.plan import Plan
from specc.plan.flops import step_flops
from specc.spec.dump import dump
from specc.spec.load import loads
from specc.spec.sections.recompute import Recompute

from .documents import HPFF, Document, document, spec_of

OPEN: Document = {"train": {"recompute": {"fit": {}}}}
WHOLE: Document = {"split": {"blocks": 1}}


def plan_of(budget: int | None = None, **parts: Any) -> Plan:
    limit = {} if budget is None else {"budget": {"memory": budget}}
    return specc.compile(spec_of(document(**parts, **limit)))


def draft_of(**parts: Any) -> Draft:
    return run_passes(spec_of(document(**parts)), PREDICTING)


def middle(**parts: Any) -> int:
    """A budget between the peaks with and without recomputation."""
    peaks = [plan_of(**parts, train={"recompute": on}).memory.peak_bytes for on in (False, True)]
    return sum(peaks) // 2


@pytest.mark.parametrize("parts", [WHOLE, {}, HPFF], ids=["one block", "four blocks", "two levels"])
def test_what_the_budget_decides_is_as_if_it_had_been_written(parts: Document) -> None:
    budget = middle(**parts)
    plan = plan_of(budget, **parts, **OPEN)
    chosen = plan.config.train.recompute
    assert isinstance(chosen, Recompute)
    assert chosen.layers
    assert plan.memory.peak_bytes <= budget
    assert specc.compile(loads(dump(plan.config))).fingerprint == plan.fingerprint
    none, every = (step_flops(plan_of(**parts, train={"recompute": on})) for on in (False, True))
    assert none < step_flops(plan) < every


def test_where_everything_fits_nothing_is_computed_again() -> None:
    assert plan_of(1 << 40, **WHOLE, **OPEN).fingerprint == plan_of(1 << 40, **WHOLE).fingerprint


def test_it_needs_a_budget() -> None:
    (wrong,) = run_passes(spec_of(document(**OPEN))).diagnostics
    assert (wrong.code, wrong.label) == ("SPC504", "needs `budget.memory`")
    assert "computed again" in wrong.message


def test_where_nothing_fits_the_lowest_peak_is_named_and_with_a_warning_it_is_taken() -> None:
    parts = WHOLE | OPEN
    (wrong,) = run_passes(spec_of(document(**parts, budget={"memory": 90_000}))).diagnostics
    assert wrong.code == "SPC507"
    draft = run_passes(spec_of(document(**parts, budget={"memory": 90_000, "on_exceed": "warn"})))
    assert [d.code for d in draft.diagnostics] == ["SPC501"]
    peak = draft.predicted.peak_bytes
    assert wrong.label == f"{(peak - 90_000) / 1024:.4g} KiB too little"
    assert best(draft, draft.spec.config, peak) is not None
    assert best(draft, draft.spec.config, peak - 1) is None


def test_mistakes_beside_it_are_found_as_ever() -> None:
    parts = OPEN | {"split": {"after": ["nowhere"]}, "budget": {"memory": "1 GiB"}}
    assert [d.code for d in run_passes(spec_of(document(**parts))).diagnostics] == ["SPC201"]


def test_with_an_open_split_the_split_is_decided_first_and_then_the_least_recomputation() -> None:
    """As few blocks as fit with everything computed again; of that only as much as it takes stays."""
    data = document()["data"] | {"samples": 64, "batch_size": 64}
    budget = middle(**WHOLE, data=data)
    plan = plan_of(budget, split={"fit": {}}, data=data, **OPEN)
    assert len(plan.blocks) == 1
    assert plan.config.train.recompute == plan_of(budget, **WHOLE, data=data, **OPEN).config.train.recompute
    low = plan_of(**WHOLE, train={"recompute": True}, data=data).memory.peak_bytes - 1
    few = plan_of(low, split={"fit": {}}, data=data, **OPEN)
    assert len(few.blocks) > 1
    assert few.memory.peak_bytes <= low


@pytest.mark.parametrize("order", ["slices", "blocks", "auto"])
def test_slices_in_every_order(order: str) -> None:
    parts = {"schedule": {"order": order}}
    train = {"micro_batches": 3}
    peaks = [plan_of(**parts, train={**train, "recompute": on}).memory.peak_bytes for on in (False, True)]
    plan = plan_of(sum(peaks) // 2, **parts, train={**train, "recompute": {"fit": {}}})
    assert plan.memory.peak_bytes <= sum(peaks) // 2


def test_a_block_of_very_many_layers_is_thinned_and_that_is_said() -> None:
    layers = [
        {"name": "many", "op": "batch_norm", "repeat": 200},
        {"name": "pool", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 4},
    ]
    parts = {"backbone": {"layers": layers}} | WHOLE | OPEN
    draft = run_passes(spec_of(document(**parts, budget={"memory": "200 KiB"})))
    assert [d.code for d in draft.diagnostics] == ["SPC508"]
    assert not draft.failed
    assert run_passes(spec_of(document(**parts, budget={"memory": "1 GiB"}))).diagnostics == ()


def test_a_mapping_without_keys_is_said_to_have_none() -> None:
    with pytest.raises(specc.SpecError) as caught:
        plan_of(train={"recompute": {"fit": True}})
    (wrong,) = caught.value.diagnostics
    assert (wrong.code, wrong.help) == ("SPC103", ("write `{}`: it has no keys",))
