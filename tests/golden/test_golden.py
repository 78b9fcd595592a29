"""Every figure of the authors' own code: losses, gradients, three steps of SGD, running statistics, logits.

`pytest tests/golden --golden-dir DIR` runs all traces of another directory.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from specc import SpecError

from . import harness
from .harness import Report, Trace

DATA = Path(__file__).parent / "data"

# Traces that no spec can express yet. Each must fail: one that begins to pass has to leave this list.
PENDING = {
    "auglocal_resnet32_k16_d2",
    "dgl_resnet32_k16",
    "hpff_imagenet_resnet101_k4",
    "man_imagenet_resnet152_k2",
    "predsim_resnet32_k16",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a file; every file of a directory given by hand."""
    chosen = metafunc.config.getoption("golden_dir")
    traces = sorted((chosen or DATA).glob("*.json"))
    assert traces, f"no golden traces in {chosen or DATA}"
    if "trace" in metafunc.fixturenames:
        expressible = [p for p in traces if chosen or p.stem not in PENDING]
        metafunc.parametrize("trace", expressible, ids=lambda p: p.stem, indirect=True)
    if "pending" in metafunc.fixturenames:
        metafunc.parametrize("pending", sorted(PENDING))


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


@pytest.mark.xfail(strict=True, raises=(KeyError, SpecError), reason="not expressible yet")
def test_pending(pending: str) -> None:
    harness.session_of(Trace.read(DATA / f"{pending}.json").config)


def test_a_wrong_figure_is_found() -> None:
    trace = Trace.read(DATA / "man_resnet32_k4.json")
    name, figures = next((n, g) for n, g in trace.content["single_step"]["grads"].items() if g and g[0] > 1e-3)
    figures[1] += 1e-6 * figures[0]
    report = Report()
    harness.compare_single_step(trace, report)
    assert [wrong.split(":")[0] for wrong in report.wrong or []] == [f"{name} . probe"]
