"""What is said while somebody waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from specc.cli import main
from specc.diagnostics.notices import notice
from specc.graph.families import TorchvisionModel
from specc.graph.families.resnet_cifar import ResNetCifar
from tests.documents import document


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec of a model that is traced by something quick."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    backbone = ResNetCifar(family="resnet_cifar", depth=8).expand
    monkeypatch.setattr("specc.graph.traced.torchvision.backbone", lambda _, image, classes: backbone(image, classes))
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 24, "batch_size": 6}
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(document(backbone={"torchvision": "swin_t"}, data=data, split={"blocks": 1})))
    return path


@pytest.mark.parametrize("command", [["validate"], ["graph"], ["plan"], ["plan", "--format", "json"]])
def test_the_first_trace_of_a_model_is_announced_on_stderr_and_no_other(command: list[str], spec: Path) -> None:
    first, second = (CliRunner().invoke(main, [command[0], str(spec), *command[1:]]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "tracing torchvision's `swin_t`" in first.stderr
    assert "tracing" not in first.stdout + second.output
    assert first.stdout == second.stdout


def test_a_program_that_does_not_listen_hears_nothing(spec: Path, capfd: pytest.CaptureFixture[str]) -> None:
    TorchvisionModel(torchvision="swin_t").expand((3, 8, 8), 4)
    assert capfd.readouterr() == ("", "")


def test_notices_end_with_who_listens() -> None:
    heard: list[str] = []
    with notice.heard(heard.append):
        notice("one")
    notice("two")
    assert heard == ["one"]
