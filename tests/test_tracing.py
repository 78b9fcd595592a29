"""One tracer for every network: what it writes down, and who is asked where torch is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from specc.graph.families import TorchvisionModel
from specc.graph.problems import BackboneError
from specc.graph.traced import tracing

from .documents import document

COMPILES = """
import sys
import specc
plan = specc.compile(sys.argv[1])
assert "features.0" in {node.name for network in plan.networks.values() for node in network.graph.nodes}
assert not {"torch", "torchvision", "runtime"}.intersection(sys.modules)
"""


@pytest.fixture
def nobody_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process in which no tracer has registered, and an empty cache."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tracing, "_here", [])
    return tmp_path


def test_specc_has_a_model_traced_by_another_process_and_loads_no_torch_itself(nobody_here: Path) -> None:
    data = {"dataset": "synthetic", "image_size": 32, "channels": 3, "classes": 4, "samples": 8, "batch_size": 4}
    spec = nobody_here / "spec.yaml"
    spec.write_text(json.dumps(document(backbone={"torchvision": "squeezenet1_1"}, data=data, split={"blocks": 2})))
    subprocess.run([sys.executable, "-c", COMPILES, str(spec)], check=True, cwd=Path(__file__).parents[1])
    assert [path.parent.name for path in (nobody_here / "cache").rglob("*.json")] == ["torchvision"]


def test_what_another_process_finds_wrong_is_said_as_if_it_were_found_here(nobody_here: Path) -> None:
    with pytest.raises(BackboneError) as caught:
        TorchvisionModel(torchvision="resnet81").expand((3, 32, 32), 4)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("SPC307", ("backbone", "torchvision"))
    assert "resnet18" in " ".join(problem.help)


def test_a_tracer_that_ends_otherwise_is_told_of_with_its_last_words(
    nobody_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "PROGRAM", ("-c", "raise SystemExit('no more memory')"))
    with pytest.raises(BackboneError, match="no more memory") as caught:
        TorchvisionModel(torchvision="resnet18").expand((3, 32, 32), 4)
    assert caught.value.problems[0].code == "SPC308"
