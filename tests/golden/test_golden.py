"""Every figure of the authors' own code: losses, gradients, three steps of SGD, running statistics, logits.

`pytest tests/golden --golden-dir DIR` runs all traces of another directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from . import harness
from .harness import Report, Trace

DATA = Path(__file__).parent / "data"
SINGLE = ("man_resnet32_k4", "hpff_resnet32_k4", "predsim_resnet32_k16")  # in every run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Two tests a file; none is left out, though `make test` leaves to `make full` what others contain."""
    if "trace" in metafunc.fixturenames:
        folder = metafunc.config.getoption("golden_dir") or DATA
        traces = sorted(folder.glob("*.json"))
        assert traces, f"no golden traces in {folder}"
        longer = metafunc.function is test_three_steps
        metafunc.parametrize("trace", [case_of(path, longer) for path in traces], indirect=True)


def case_of(path: Path, longer: bool) -> ParameterSet:
    return pytest.param(path, id=path.stem, marks=marks(path.stem, Trace.read(path).config, longer))


def marks(name: str, config: dict[str, Any], longer: bool = True) -> list[pytest.MarkDecorator]:
    """Three steps contain a single one, whose gradients they take; the large networks of ImageNet are slow."""
    if config["block"] == "bottleneck":
        return [pytest.mark.slow, pytest.mark.full]
    return [] if longer or name in SINGLE else [pytest.mark.full]


@pytest.fixture
def trace(request: pytest.FixtureRequest) -> Trace:
    return Trace.read(request.param)


def test_single_step(trace: Trace) -> None:
    report = Report()
    harness.compare_single_step(trace, report)
    judge(report, len(trace.content["single_step"]["grads"]))


def test_three_steps(trace: Trace) -> None:
    report = Report()
    harness.compare_three_steps(trace, report)
    judge(report, len(trace.content["three_steps"]["params"]))


def judge(report: Report, tensors: int) -> None:
    wrong = report.wrong or []
    assert not wrong, "\n".join([f"{len(wrong)} of {report.compared} figures differ:", *wrong[:20]])
    assert report.compared >= tensors, f"{report.compared} figures compared, the trace has {tensors} tensors"


def test_a_wrong_figure_is_found() -> None:
    trace = Trace.read(DATA / "man_resnet32_k4.json")
    name, figures = next((n, g) for n, g in trace.content["single_step"]["grads"].items() if g and g[0] > 1e-3)
    figures[1] += 1e-6 * figures[0]
    report = Report()
    harness.compare_single_step(trace, report)
    assert [wrong.split(":")[0] for wrong in report.wrong or []] == [f"{name} . probe"]
