"""Modules that give more than their answer: it is known by its name or its place, or nothing is guessed."""

from __future__ import annotations

import pytest
import torch

import specc
from runtime import Session
from runtime.trace.written import main
from specc.graph.problems import BackboneError

from .several_inputs import AMBIGUOUS, GIVES, Giving

SPEC = {"data": {"batch_size": 4}, "split": {"blocks": 1}, "train": {"optimizer": {"name": "sgd", "lr": 0.1}}}


@pytest.mark.parametrize("name", GIVES)
def test_the_answer_is_known_among_other_things(name: str) -> None:
    """What only leads to others is no part of the network that is trained."""
    module = Giving(GIVES[name])
    backbone = specc.trace(module, (3, 8, 8))
    assert [layer.name for layer in backbone.graph.layers] == ["stem", "head"]
    session = Session(specc.compile(SPEC, backbone=backbone), module=module)
    images = torch.rand(4, 3, 8, 8)
    session.train_step(images, torch.arange(4))
    with torch.no_grad():
        want = module.head(module.stem(images).mean((2, 3)))
        assert torch.allclose(session.predict(images), want, atol=1e-6)
        assert torch.equal(main(module(images)), want)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_may_be_another_is_refused_with_what_would_be_clear(name: str) -> None:
    gives, said = AMBIGUOUS[name]
    with pytest.raises(BackboneError) as caught:
        specc.trace(Giving(gives), (3, 8, 8))
    (problem,) = caught.value.problems
    assert (problem.code, said in problem.message) == ("SPC308", True), problem.message
    assert "`logits`" in problem.help[0]
