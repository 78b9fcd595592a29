"""A run that ends before its first step: what it says, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.data import DataError, decoding
from runtime.errors import RunError
from runtime.run.trainer import Trainer

from .attacks import spec
from .commands import specc

CAUSES = {
    "out of memory before the first step": MemoryError(),
    "the data are gone": DataError("the data are gone"),
    "no GPU": RunError("no GPU", ("take another",)),
}


@pytest.mark.parametrize(("cause", "error"), CAUSES.items(), ids=CAUSES)
def test_the_summary_tells_why_nothing_was_trained(
    cause: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    path = spec(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_session", fail)
        result = specc("run", path, "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert result.returncode == 3
    assert f"error: {cause}" in result.stderr
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (found["status"], found["cause"]) == ("failed", cause)
    assert specc("resume", "run", "--device", "cpu", cwd=tmp_path).returncode == 0


def test_a_resumed_run_that_cannot_go_on_keeps_its_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    assert specc("run", spec(tmp_path), "--device", "cpu", "--run-dir", "run", cwd=tmp_path).returncode == 0
    before = (tmp_path / "run" / "summary.json").read_bytes()
    monkeypatch.setattr(Trainer, "_session", fail)
    result = specc("resume", "run", "train.epochs=3", "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 3
    assert (tmp_path / "run" / "summary.json").read_bytes() == before


def test_an_image_that_does_not_fit_into_memory_is_no_bad_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or `data.on_bad_image: skip` would leave it out, and another set would be trained on than with more memory."""

    def decoded(*_: Any) -> None:
        raise MemoryError

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(decoding, "_decoded", decoded)
    with pytest.raises(MemoryError):
        decoding.decode(str(tmp_path / "a.png"), 1)
