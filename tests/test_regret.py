"""`benchmarks/regret.py` looks at everything that fits, so that no choice can be better than its best."""

from __future__ import annotations

import pytest

from benchmarks import regret
from specc.fit.attempts import Attempts


@pytest.mark.parametrize("name", regret.NETWORKS)
def test_the_networks_are_small_enough_to_try_all_of(name: str) -> None:
    draft = regret.draft_of(name)
    assert not draft.failed
    assert 4 <= len(draft.graph.cut_choices) <= 5


def test_everything_that_fits_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regret, "SLICES", (1, 2))
    attempts = Attempts(regret.draft_of("wide"))
    plain = attempts(attempts.draft.spec.config)
    assert plain is not None
    every = list(regret.everything(attempts, plain.peak))
    assert all(each.peak <= plain.peak for each in every)
    assert {each.config.train.precision for each in every} == {"fp32", "bf16"}
    assert {each.config.train.micro_batches for each in every} == {1, 2}
    assert any(each.config.train.recompute is True for each in every)
    assert {len(each.after) for each in every} == {0, 1, 2, 3, 4}
