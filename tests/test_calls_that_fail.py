"""A network whose forward fails is told about by specc: torch writes nothing of its own to stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import specc
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)
        self.places = nn.Parameter(torch.zeros(1, 27, 4))

    def forward(self, x):
        return self.fc((self.conv(x).flatten(2).mT + self.places).mean(1))


try:
    specc.trace(Net(), (1, 8, 8))
except Exception as error:
    print(error)
"""


def test_images_that_do_not_fit_give_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert "a dimension of length 27" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert "fake_tensor" not in done.stderr
