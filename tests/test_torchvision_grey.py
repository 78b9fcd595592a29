"""torchvision's models on grey data sets: the channel is put three times by the first op, and a note says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.compiler.verify import verify
from specc.graph.families import TorchvisionModel
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .documents import Document, spec_of


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("cache")
        patch.setenv("SPECC_CACHE", str(path))
        yield path


def document(channels: int = 1, **train: Any) -> Document:
    facts = {"image_size": 32, "channels": channels, "classes": 4, "samples": 8, "batch_size": 4}
    return {
        "specc": 1,
        "name": "grey",
        "data": {"dataset": "synthetic", **facts},
        "backbone": {"torchvision": "squeezenet1_1"},
        "split": {"blocks": 3},
        "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 8}, "reconstruction": {"channels": 3}},
        "train": train,
    }


def plan_of(channels: int = 1, **train: Any) -> Plan:
    return specc.compile(spec_of(document(channels, **train)))


def test_a_note_says_at_the_model_that_grey_is_read_as_colours() -> None:
    report = check_text(json.dumps(document(), indent=1))
    (note,) = report.diagnostics
    assert (note.code, str(note.severity)) == ("SPC311", "note")
    assert note.span is not None
    assert "squeezenet1_1" in json.dumps(document(), indent=1).splitlines()[note.span.line - 1]
    assert not check_text(json.dumps(document(3))).diagnostics


def test_the_layers_are_those_of_the_model_in_colour() -> None:
    grey, colour = (TorchvisionModel(torchvision="squeezenet1_1").expand((c, 32, 32), 4) for c in (1, 3))
    assert grey.input == (1, 32, 32)
    assert grey.cuts == colour.cuts
    assert [layer.shape for layer in grey.layers] == [layer.shape for layer in colour.layers]
    assert grey.part(0, 3).parameters == colour.part(0, 3).parameters


def stepped(session: Session, images: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    torch.manual_seed(0)  # for the dropout
    return session.train_step(images, torch.arange(4)).losses


def test_a_step_on_grey_images_is_one_on_three_equal_channels() -> None:
    grey, colour = (Session(plan_of(channels)) for channels in (1, 3))
    theirs = dict(colour.named_parameters())
    with torch.no_grad():
        for name, parameter in grey.named_parameters():
            if theirs[name].shape == parameter.shape:
                theirs[name].copy_(parameter)
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = stepped(grey, images), stepped(colour, images.expand(-1, 3, -1, -1).contiguous())
    classified = [(unit, term) for unit, losses in one.items() for term in losses if term != "reconstruction"]
    assert len(classified) == len(one) == 3
    assert all(torch.equal(one[unit][term], other[unit][term]) for unit, term in classified)
    assert sum("reconstruction" in losses for losses in one.values()) == 2


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_the_prediction_counts_the_copies(memory_format: str) -> None:
    plan = plan_of(memory_format=memory_format)
    assert not verify(plan)
    assert as_traced(plan).peak_bytes == pytest.approx(trace(plan).peak_bytes, rel=1e-3)
