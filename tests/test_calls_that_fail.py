"""A network whose forward fails is told about in a diagnostic: nothing else is written to stderr."""

from __future__ import annotations

import json
from pathlib import Path

from .commands import specc_apart

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        y = self.conv(x)
        return self.fc((x + y).mean((2, 3)))
"""


def test_images_that_do_not_fit_give_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    spec = {
        "specc": 1, "name": "tiny", "backbone": {"module": "nets.py:Net"},
        "data": {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 3, "samples": 8, "batch_size": 4},
    }  # fmt: skip
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    done = specc_apart("validate", "spec.yaml", "--trust-code", cwd=tmp_path)
    assert done.returncode == 1
    assert "error[SPC301]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "fake_tensor" not in done.stderr
