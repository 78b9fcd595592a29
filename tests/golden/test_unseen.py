"""Configurations without a golden file: the reference implementation stands in for the authors' code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..parts import partly
from . import harness
from .harness import Trace
from .reference.backbone import Config
from .reference.cases import fast
from .reference.configs import complete
from .reference.trace import trace
from .test_golden import DATA, judge, marks

FEW = (  # of every method; `make full` has the others
    "e2e_resnet14_28",
    "infopro_resnet20_k2_1c1f",
    "man_resnet20_k8",
    "hpff_resnet14_k3_contrast",
    "dgl_resnet20_k5_28",
    "predsim_resnet20_k10_28",
    "auglocal_resnet20_k10_d4",
    "auglocal_resnet20_k8_d2_flat_30",
)
CASES = [
    pytest.param(name, config, id=name, marks=[*marks(name, config), *([] if name in FEW else [pytest.mark.full])])
    for name, config in fast()
]


@pytest.mark.parametrize(("name", "config"), CASES)
def test_unseen(name: str, config: Config) -> None:
    """Both halves of a trace: a single step; three steps and an evaluation."""
    unseen = Trace(Path(name), trace(config))
    judge(harness.compare(unseen), 2 * len(unseen.content["parameter_shapes"]))


FILES = sorted(DATA.glob("*resnet32*.json"))
LEFT = [path for path in FILES if path.stem not in ("man_resnet32_k4", "hpff_resnet32_k4")]


@pytest.mark.parametrize("path", partly(FILES, LEFT))
def test_the_reference_reproduces_the_golden_files(path: Path) -> None:
    """Else it would prove nothing. The loss weights are worked out anew, not read from the file."""
    golden = Trace.read(path)
    told: Config = {key: value for key, value in golden.config.items() if key != "unit_weights"}
    again = trace(complete(told))
    wrong = [*differences("single step", golden.content["single_step"], again["single_step"], 1e-8)]
    three = harness.tolerances(golden.config)[1]
    wrong += differences("three steps", golden.content["three_steps"], again["three_steps"], three)
    assert again["parameter_shapes"] == golden.content["parameter_shapes"]
    assert not wrong, "\n".join(wrong[:20])


def differences(path: str, want: Any, got: Any, tolerance: float) -> Iterator[str]:
    """Where the figures of a golden file are not met. Pairs [L2, probe] are judged by their L2."""
    if isinstance(want, dict):
        for key, value in want.items():
            yield from differences(f"{path}, {key}", value, got[key], tolerance)
    elif isinstance(want, list) and want and isinstance(want[0], dict):
        for i, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from differences(f"{path} {i}", one, other, tolerance)
    elif want is None or got is None:
        if want is not got:
            yield f"{path}: {got}, the file has {want}"
    else:
        expected, values = np.array(want, dtype=float), np.array(got, dtype=float)
        size = expected[0] if expected.shape == (2,) else np.linalg.norm(expected)
        if not np.abs(values - expected).max() <= 1e-12 + tolerance * size:
            yield f"{path}: {got}, the file has {want}"
