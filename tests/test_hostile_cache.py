"""A cache from a stranger: what it says of a model of torchvision changes no number in silence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.engine.traced import check_traced
from runtime.errors import RunError
from specc.graph.ops.source import Source
from specc.graph.traced import cache
from specc.plan import Plan
from tests.commands import specc
from tests.documents import Document, compiled, document

MODEL: Document = {"torchvision": "squeezenet1_1"}


def parts(backbone: Document = MODEL, channels: int = 3) -> Document:
    data = {"dataset": "synthetic", "image_size": 32, "channels": channels, "classes": 4, "samples": 8, "batch_size": 4}
    return {"backbone": backbone, "data": data, "split": {"blocks": 2}, "train": {"epochs": 1}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))
    return tmp_path


def planted(folder: Path, change: Callable[[Any], object]) -> Plan:
    """A plan made with a cache in which somebody has changed the graph, and nothing else."""
    compiled(**parts())
    (path,) = folder.glob("torchvision/*.json")
    kept = json.loads(path.read_text())
    change([node for layer in kept["graph"]["layers"] for node in layer["nodes"]])
    path.write_text(json.dumps(kept))
    return compiled(**parts())


def drop_less(nodes: Any) -> None:
    next(node for node in nodes if node["op"]["op"] == "dropout")["op"]["p"] = 0.1


def pool_otherwise(nodes: Any) -> None:
    """To the same shape."""
    node = next(node for node in nodes if node["op"]["op"] == "relu")
    node["op"] = {"op": "gelu", "approximate": "none"}


@pytest.mark.parametrize("change", [drop_less, pool_otherwise])
def test_another_network_in_the_cache_is_not_trained(change: Callable[[Any], object], folder: Path) -> None:
    with pytest.raises(RunError, match="is not as torchvision's `squeezenet1_1` has it"):
        check_traced(planted(folder, change))


@pytest.mark.parametrize(("backbone", "channels"), [(MODEL, 3), (MODEL, 1), ({"torchvision": "shufflenet_v2_x0_5"}, 3)])
def test_torchvisions_own_network_is(backbone: Document, channels: int, folder: Path) -> None:
    check_traced(compiled(**parts(backbone, channels)))
    check_traced(compiled(**parts(backbone, channels)))  # out of the cache


def test_a_run_ends_before_its_first_file(folder: Path, tmp_path: Path) -> None:
    planted(folder, drop_less)
    (tmp_path / "spec.yaml").write_text(json.dumps(document(**parts())))
    done = specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == RunError.exit_code
    assert str(folder / "torchvision") in done.stderr
    assert not (tmp_path / "run").exists()


def end_in_a_stranger(nodes: Any) -> None:
    nodes[-1]["inputs"] = [nodes[0]["name"]]


def call_itself_a_command(nodes: Any) -> None:
    nodes[-1]["name"] = "$(touch marker)"


@pytest.mark.parametrize("change", [end_in_a_stranger, call_itself_a_command])
def test_a_graph_that_does_not_hold_together_is_as_if_absent(change: Callable[[Any], object], folder: Path) -> None:
    assert planted(folder, change).networks == compiled(**parts()).networks
    check_traced(compiled(**parts()))


def test_a_file_of_another_user_is_as_if_absent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(**parts())
    key = cache.key(Source("torchvision", "squeezenet1_1", (3, 32, 32), 4))
    assert cache.load(key) is not None
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda file: os.stat_result((*real(file)[:4], 12345, *real(file)[5:])))
    assert cache.load(key) is None


def test_a_cache_file_of_any_size_is_not_read_to_its_end(folder: Path) -> None:
    key = cache.key(Source("torchvision", "squeezenet1_1", (3, 32, 32), 4))
    key.path.parent.mkdir(parents=True)
    with key.path.open("wb") as file:
        file.truncate(1 << 40)
    assert cache.load(key) is None
