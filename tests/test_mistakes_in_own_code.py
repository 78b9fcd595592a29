"""Code of the user's own that makes no network: what it is told, with its line, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from runtime.data.own.samples import SampleError, sample_of
from runtime.own_code import CodeError, called, module_of
from runtime.trace.laboratory import trace
from runtime.trace.networks import make
from specc.checking import check_text
from specc.fit.splits import Splits
from specc.graph.ops import ShapeError
from specc.graph.ops.source import Source
from specc.graph.problems import BackboneError, Problem
from specc.graph.traced import tracing
from specc.pipeline import CHECKS, run_passes
from specc.system.own_code import digest_of
from specc.tasks.inputs import Part
from specc.tasks.own.facts import Facts, OwnDataError

from .documents import document, spec_of

NETS = """
import sys
import torch
from torch import nn

import beside


def make_net(num_classes=10):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.PReLU(), nn.Flatten(), nn.Linear(144, num_classes))


NET = make_net()
NUMBER = 3


def leaves():
    sys.exit(3)


def deep():
    return beside.far()


def lazy():
    return nn.LazyLinear(10)


def spread():
    return nn.DataParallel(nn.Linear(3, 3))


def wide():
    return make_net().double()


def seven():
    return make_net(7)


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.by = nn.Parameter(torch.randn(4, 8, 8))

    def forward(self, x):
        return x + self.by


def shifted(num_classes):
    parts = [part for i in range(3) for part in (nn.Conv2d(4 if i else 1, 4, 3, padding=1), Shift())]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(256, num_classes))


class Wrong(nn.Module):
    def __init__(self):
        super().__init__()
        self.far = nn.Linear(5, 10)

    def forward(self, x):
        return self.far(x.flatten(1))
"""
BESIDE = "def far():\n    return {}['a']\n"


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "beside.py").write_text(BESIDE)
    return tmp_path / "nets.py"


def source(nets: Path, name: str) -> Source:
    return Source("module", f"{nets}:{name}", (1, 8, 8), 10, "{}", digest=digest_of(str(nets)))


def problem(nets: Path, name: str) -> Problem:
    with pytest.raises(BackboneError) as caught:
        make(source(nets, name))
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize(("name", "said"), {
    "leaves": "raises SystemExit: 3 (nets.py:18)",
    "deep": "raises KeyError: 'a' (beside.py:2)",
    "lazy": "cannot be taken: `weight` has no shape yet: call the module once on a batch before",
    "spread": "cannot be taken: it is made for several devices",
    "wide": "cannot be taken: `0.weight` is float64, and parameters are float32",
    "NUMBER": "is a `int`, and no function or class that makes a network",
    "NET": "is a `Sequential`, and no function or class that makes a network",
    "nn": "is a `module`, and no function or class that makes a network",
}.items())  # fmt: skip
def test_what_makes_no_network_is_told_by_what_it_does(name: str, said: str, nets: Path) -> None:
    found = problem(nets, name)
    assert (found.code, said in found.message) == ("SPC308", True), found.message


def test_a_misspelt_function_is_told_which_was_meant(nets: Path) -> None:
    assert problem(nets, "make_nt").help[0] == "did you mean `make_net`?"


def test_what_a_forward_does_not_take_is_told_with_its_line(nets: Path) -> None:
    with pytest.raises(ShapeError, match=r"nets.py, line \d+: `return self.far\(x.flatten\(1\)\)`"):
        trace(source(nets, "Wrong"))


def test_a_function_that_ends_python_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "quits.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(CodeError, match=r"cannot be imported: SystemExit: 0 \(quits.py:2\)"):
        module_of(str(tmp_path / "quits.py"), "")
    with pytest.raises(CodeError, match="sample 3 raises SystemExit"):
        called("", "sample 3", lambda: exit(1))


def test_a_line_that_is_no_python_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("import sys\ndef make_net(:\n")
    with pytest.raises(CodeError) as caught:
        module_of(str(tmp_path / "wrong.py"), "")
    assert str(caught.value).endswith("wrong.py cannot be imported: SyntaxError: invalid syntax (wrong.py:2)")


def test_torch_is_asked_for_only_where_it_is_missing(nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Fatal Python error: Segmentation fault"
    monkeypatch.setattr(tracing, "answered", lambda *_: (b"", said))
    with pytest.raises(BackboneError) as caught:
        tracing._apart(source(nets, "make_net"))
    (found,) = caught.value.problems
    assert (found.code, found.help) == ("SPC308", ()), found.message
    assert found.message.endswith(f"ended the process that traced it: {said}")


def test_a_network_of_other_classes_is_told_how_it_would_know(nets: Path) -> None:
    told = "its function is told how many classes there are where it asks for `num_classes`"
    for name, help in {"seven": (told,), "Wrong": None}.items():
        spec = document(data={"dataset": "digits"}, backbone={"module": f"{nets}:{name}"}, split={"blocks": 1})
        (error,) = [each for each in check_text(json.dumps(spec)).diagnostics if each.is_error]
        assert (error.code, error.help) == ("SPC304", help) if help else error.code == "SPC301"


def test_blocks_that_end_in_what_does_no_work_are_counted_as_others_are(nets: Path) -> None:
    backbone = {"module": f"{nets}:shifted"}
    spec = spec_of(document(data={"dataset": "digits"}, backbone=backbone, split={"blocks": 1}))
    splits = Splits(run_passes(spec, CHECKS), spec.config)
    rows = [row for row in map(splits.best, (1, 2, 3)) if row is not None]
    assert [row.relative_flops >= 1 for row in rows] == [True] * 3


def test_samples_of_other_kinds_are_told_who_takes_them() -> None:
    texts = Facts((24,), "floats", (), True, 8, parts=(Part("", (12,), "int64"), Part("mask", (12,), "int64")))
    with pytest.raises(OwnDataError, match=r"is several inputs, .*, and the task learns of a text alone") as caught:
        texts.resolved("module", "class", "int64")
    assert "`task: classification`" in caught.value.help[0]
    with pytest.raises(SampleError, match="has an image of 1×4×4×4 numbers") as volume:
        sample_of((torch.rand(1, 4, 4, 4), 0))
    assert "`runtime.wrap`" in volume.value.help[-1]
