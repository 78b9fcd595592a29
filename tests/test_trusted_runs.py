"""A run whose network is code of a file: whatever is done with it later needs the same word, and can be given it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from runtime.errors import RunError
from runtime.trace import laboratory

from .commands import specc

NETS = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("imported").touch()


def make_net(classes):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Softsign(), nn.Flatten(), nn.Linear(256, classes))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "nets.py").write_text(NETS)
    spec = {
        "specc": 1, "name": "tiny", "backbone": {"module": "nets.py:make_net"},
        "data": {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 3, "samples": 8, "batch_size": 4},
    }  # fmt: skip
    (folder / "spec.yaml").write_text(json.dumps(spec))
    done = specc("run", "spec.yaml", "--trust-code", "--device", "cpu", "--run-dir", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "imported").unlink()
    return folder


COMMANDS = {
    "evaluate": ["evaluate", "run", "--device", "cpu"],
    "export": ["export", "run"],
    "export under its own names": ["export", "run", "--to", "module", "-o", "net.safetensors"],
    "resume": ["resume", "run", "train.epochs=2", "--device", "cpu"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_is_gone_on_with_where_its_code_is_trusted(run: Path, name: str) -> None:
    laboratory._made.cache_clear()  # another process has nothing of it
    refused = specc(*COMMANDS[name], cwd=run)
    assert refused.returncode == RunError.exit_code
    assert "nobody said that this code may be run" in refused.stderr
    assert "`--trust-code`" in refused.stderr
    assert not (run / "imported").exists()
    done = specc(*COMMANDS[name], "--trust-code", cwd=run)
    assert done.returncode == 0, done.stderr


def test_the_network_takes_its_trained_state_back_strictly(run: Path) -> None:
    """Names, shapes and what nobody trains are those of its own code; what it computes was compared before."""
    done = specc("export", "run", "--to", "module", "-o", "own.safetensors", "--trust-code", cwd=run)
    assert done.returncode == 0, done.stderr
    names: dict[str, object] = {"__file__": str(run / "nets.py")}
    exec(NETS, names)
    net = names["make_net"](classes=3)  # type: ignore[operator]
    begun = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(load_file(run / "own.safetensors"), strict=True)
    assert [name for name, tensor in net.state_dict().items() if torch.equal(tensor, begun[name])] == []
    (run / "imported").unlink()


def test_a_backbone_of_speccs_own_has_no_other_names(tmp_path: Path) -> None:
    spec = {"specc": 1, "name": "own", "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [2, 2, 2, 2]},
            "data": {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 3, "samples": 8}}  # fmt: skip
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    done = specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    refused = specc("export", "run", "--to", "module", cwd=tmp_path)
    assert refused.returncode == RunError.exit_code
    assert "is of specc's own making" in refused.stderr
