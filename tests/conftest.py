"""What every test may rely on: one thread, one seed, hypothesis without chance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

SEED = int(os.environ.get("SPECC_TEST_SEED", "0"))

settings.register_profile("specc", derandomize=True, deadline=None, database=None)
settings.load_profile("specc")
torch.set_num_threads(1)  # workers share the cores


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-dir", type=Path, metavar="DIR", help="compare with every golden trace in DIR (tests/golden)"
    )


def pytest_report_header() -> str:
    return f"specc: seed {SEED} (SPECC_TEST_SEED), hypothesis derandomised"
