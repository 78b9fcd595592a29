"""The least recomputation under a budget (`specc.fit.recomputation`), against all that there are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import chain, product
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

from specc.compiler.draft import Draft
from specc.compiler.variants import Prediction, predict
from specc.fit.recomputation import Recomputation, best
from specc.fit.watching import Run
from specc.pipeline import PREDICTING, run_passes
from specc.spec.sections.recompute import Recompute
from specc.testing.strategies import specs

from .conftest import SEED
from .documents import Document, document, spec_of

SMALL: Document = {
    "backbone": {
        "layers": [
            {"name": "stem", "op": "conv", "out": 4},
            {"name": "act", "op": "gelu"},
            {"name": "deep", "op": "basic_block", "out": 4},
            {"name": "pool", "op": "global_avg_pool"},
            {"name": "head", "op": "linear", "out": 4},
        ]
    },
    "auxiliary": {"classifier": {"layers": "0c1f"}},
}
TWO: Document = {"split": {"after": ["act"]}}
WINDOW: Document = TWO | {"levels": [{"name": "both", "window": 2}]}
LEVELS: Document = TWO | {"levels": [{"name": "one", "window": 1}, {"name": "both", "window": 2}]}
THREE: Document = LEVELS | {"split": {"after": ["stem", "act"]}}
SLICES: Document = {"train": {"micro_batches": 2}}
LOW: Document = {"train": {"precision": "bf16", "memory_format": "channels_last"}}
STEPS: dict[str, Document] = {
    "one block": {"split": {"blocks": 1}},
    "two blocks": TWO,
    "a window of two": WINDOW,
    "two levels": LEVELS,
    "two levels of three blocks": THREE,
    "slices through one block": {"split": {"blocks": 1}} | SLICES,
    "slices, block by block": WINDOW | SLICES | {"schedule": {"order": "blocks"}},
    "slices, one after the other": LEVELS | SLICES | {"schedule": {"order": "slices"}},
    "slices in the better order": TWO | SLICES,
    "bf16, channels last": LEVELS | LOW,
}


@cache
def draft_of(step: str) -> Draft:
    return run_passes(spec_of(document(**SMALL, **STEPS[step])), PREDICTING)


def divisions(names: list[str]) -> Iterator[list[Any]]:
    """Every way to compute some of the layers again, alone or together."""
    if not names:
        yield []
        return
    for rest in divisions(names[1:]):
        yield rest
    for size in range(1, len(names) + 1):
        for rest in divisions(names[size:]):
            yield [names[0] if size == 1 else names[:size], *rest]


@cache
def everything(step: str) -> tuple[Prediction, ...]:
    """What becomes of every choice, as it is compiled."""
    draft = draft_of(step)
    config, found = draft.spec.config, []
    blocks = [list(divisions(list(block.layers))) for block in draft.blocks]
    for choice in product(*blocks):
        layers = [*chain.from_iterable(choice)]
        changed = config.changed("train", recompute=Recompute(layers=layers) if layers else False)
        found.append(predict(draft, changed))
    return tuple(each for each in found if each)


@pytest.mark.parametrize("step", STEPS)
def test_no_choice_that_fits_computes_less_again(step: str) -> None:
    """Budgets on both sides of every peak that some choice has."""
    draft, every = draft_of(step), everything(step)
    peaks = sorted({each.peak for each in every})
    least = Recomputation(draft, draft.spec.config)
    rare = random.Random(0).sample(peaks, min(len(peaks), 6))
    for budget in sorted({peaks[0], peaks[-1], *rare}):
        found = least.under(budget)
        assert found is not None
        assert found.exact
        reached = predict(draft, found.config)
        assert reached is not None
        assert reached.peak == found.peak <= budget
        assert reached.flops == min(each.flops for each in every if each.peak <= budget)
    assert least.under(peaks[0] - 1) is None
    assert least.lowest.peak == peaks[0]


@pytest.mark.parametrize("step", STEPS)
def test_what_is_added_up_is_what_the_step_takes(step: str) -> None:
    draft = draft_of(step)
    least, rng = Recomputation(draft, draft.spec.config), random.Random(1)
    for model, watched in zip(least.models, least.steps, strict=True):
        for _ in range(8):
            runs = [division(len(parts), rng) for parts in watched.parts]
            assert model.peak(runs) == max(seen.highest for seen in watched.watched(runs)[:-1])


def division(size: int, rng: random.Random) -> list[Run]:
    """A block's parts, some computed again, in runs of any length."""
    found: list[Run] = []
    at = 0
    while at < size:
        last = min(size - 1, at + rng.choice((0, 0, 1, 2)))
        again = rng.random() < 0.6
        if found and not (again or found[-1][2]):
            at = found.pop()[0]
        found.append((at, last, again))
        at = last + 1
    return found


def test_where_nothing_fits_there_is_no_choice_and_where_all_fits_nothing_is_computed_again() -> None:
    draft = draft_of("one block")
    assert best(draft, draft.spec.config, 1) is None
    found = best(draft, draft.spec.config, 1 << 40)
    assert found is not None
    assert found.train.recompute is False


@seed(SEED)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs(), st.integers(0, 4))
def test_of_any_spec_the_least_recomputation_fits_and_is_no_more_than_all_of_it(drawn: Document, share: int) -> None:
    draft = run_passes(spec_of(drawn), PREDICTING)
    assume(not any(draft.networks[block.name].graph.reads for block in draft.blocks))  # refused: SPC509
    config = draft.spec.config
    nothing, everything = (predict(draft, config.changed("train", recompute=on)) for on in (False, True))
    assert nothing is not None
    assert everything is not None
    budget = everything.peak + max(nothing.peak - everything.peak, 0) * share // 4
    found = Recomputation(draft, config).under(budget)
    assert found is not None
    reached = predict(draft, found.config)
    assert reached is not None
    assert reached.peak == found.peak <= budget
    assert nothing.flops <= reached.flops <= everything.flops
