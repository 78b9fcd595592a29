"""Times by what was measured: samples, the surface through them, the profile; a CPU is measured for real, in part."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from runtime.timing import calibrate as calibrating
from runtime.timing import instructions
from runtime.timing.clock import Clock
from runtime.timing.moves import moves
from specc.cli import main
from specc.device.samples import Candidate
from specc.graph.ops import OPS
from specc.profiles import Profile, UnknownProfile, find, here, save, stored
from specc.profiles.model import Curve, Overhead, Table
from specc.profiles.store import written
from specc.timing import step_time
from specc.timing.features import features_of, kind_of
from specc.timing.measured import times_on
from specc.timing.samples import Sample, samples
from specc.timing.surface import fit, seconds_at
from specc.timing.work import Work
from specc.timing.workbook import works

from .documents import HPFF, MAN, compiled

LIMIT = 200_000  # bytes of a profile's file
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def work(sample: Sample) -> Work:
    node = sample.node
    flops = node.flops * sample.rows
    return Work(node.op.name, "forward", sample.rows, flops, 0, 0, sample.width, sample.order, node)


# ---------------------------------------------------------------------------------------------- the samples


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_the_same_works_are_measured_every_time(kind: Any) -> None:
    assert list(samples(kind)) == list(samples(kind))


def test_every_op_is_measured_that_is_one_call_of_torchs() -> None:
    """The others are views, or made of these; `opaque` ones and those of packages go by FLOPs and bytes."""
    measured = {sample.node.op.name for sample in samples("cpu")}
    of_others = {"patch_embed", "attention", "squeeze_excite"}
    views = {"reshape", "transpose", "to_map", "select_token"}
    without_gradient = {"to_integers"}
    assert set(OPS.own) - measured == of_others | views | without_gradient


def test_what_is_measured_in_low_precision_or_with_channels_last_is_told_apart() -> None:
    ways = {features_of(work(sample))[-2:] for sample in samples("cpu") if sample.node.op.name == "conv"}
    assert len(ways) == 4


# ---------------------------------------------------------------------------------------------- the surface


def test_a_surface_knows_what_a_device_does_between_its_points() -> None:
    """A device of 50 GFLOP/s, 10 GB/s and 10 µs a call, seen at every second sample and asked at the others."""

    def seconds(of: Work) -> float:
        assert of.node is not None
        return 1e-5 + of.flops / 5e10 + of.rows * of.node.size * of.width / 1e10

    found = [work(sample) for sample in samples("cpu") if sample.node.op.name == "linear"]
    seen, asked = found[::2], found[1::2]
    curve = fit([features_of(each) for each in seen], [seconds(each) for each in seen])
    said = seconds_at(curve, [features_of(each) for each in seen], [features_of(each) for each in asked])
    errors = sorted(abs(time / seconds(each) - 1) for time, each in zip(said, asked, strict=True))
    assert errors[len(errors) // 2] < 0.03
    assert errors[-1] < 0.3


def test_what_is_larger_than_all_that_was_measured_takes_longer_in_proportion() -> None:
    found = [work(sample) for sample in samples("cpu") if sample.node.op.name == "linear"]
    points = [features_of(each) for each in found]
    curve = fit(points, [1e-6 + each.flops / 5e10 for each in found])
    large = replace(max(found, key=lambda each: each.flops), width=4)
    double = replace(large, rows=64 * large.rows, flops=64 * large.flops)
    one, many = seconds_at(curve, points, [features_of(large), features_of(double)])
    assert many / one == pytest.approx(64, rel=0.25)


# ---------------------------------------------------------------------------------------------- a profile


def few(kinds: int = 14) -> Any:
    """Chooses that many samples of each op, and a few moves."""
    seen: dict[str, int] = {}

    def chosen(each: Any) -> bool:
        name = each.what if hasattr(each, "what") else each.node.op.name
        seen[name] = seen.get(name, 0) + 1
        if not hasattr(each, "what"):
            return seen[name] <= kinds and name in ("conv", "linear", "relu", "batch_norm", "add") and each.rows < 20
        return name in ("add", "step/sgd", "loss/cross_entropy", "loss/cross_entropy/back")

    return chosen


@pytest.fixture(scope="module")
def measured() -> Profile:
    """This CPU, measured in a second or so."""
    patch = pytest.MonkeyPatch()
    patch.setattr(calibrating, "PASSES", 1)
    patch.setattr(Clock, "seconds", lambda self, call, **_: max(1e-7, self.once(call)))
    patch.setattr(instructions, "STEPS", 1)
    patch.setattr(instructions, "candidates", lambda kind: [Candidate("tiny", compiled(**HPFF), 0)])
    try:
        return calibrating.calibrate(CPU, only=few())
    finally:
        patch.undo()


def test_a_cpu_is_measured_and_its_profile_is_found_by_itself(measured: Profile) -> None:
    assert (measured.kind, measured.source) == ("cpu", "calibrated")
    assert measured.versions["threads"] == str(torch.get_num_threads())
    assert {"conv", "linear", "relu", "move/add", "move/step/sgd", "move/loss/cross_entropy/back"} <= set(
        measured.tables
    )
    assert set(measured.tables["conv"].curves) == {"forward", "input", "parameters"}
    assert {"Forward", "Head", "Backward", "Step"} <= set(measured.overheads)
    save(measured)
    assert here("cpu") == measured == find(measured.name)


@pytest.mark.parametrize("more", [{}, MAN, HPFF], ids=["classifiers", "man", "hpff"])
def test_a_step_is_predicted_from_what_was_measured(more: Any, measured: Profile) -> None:
    plan = compiled(**more)
    found = step_time(plan, measured)
    assert found.source == "calibrated"
    assert all(seconds >= 0 for seconds in found.instructions)
    assert found.seconds > step_time(compiled(data={**DATA, "batch_size": 2}, **more), measured).seconds


DATA = {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 24}


def test_what_was_not_measured_goes_by_flops_and_bytes(measured: Profile) -> None:
    times, plan = times_on(measured), compiled(**HPFF)
    every = [each for own in works(plan, "cpu") for each in own]
    known = [each for each in every if kind_of(each) in measured.tables]
    assert 0 < len(known) < len(every)
    assert all(seconds > 0 for seconds in times.of(known, "fp32"))
    bare = replace(measured, tables={})
    assert step_time(plan, bare).seconds != step_time(plan, measured).seconds


def test_a_table_of_other_features_is_not_used(measured: Profile) -> None:
    """A later version of specc may look at other features: what an older one measured does not fit them."""
    other = Table(((1.0, 2.0), (2.0, 3.0)), {"forward": Curve((1.0,), (0.0, 0.0))})
    plan = compiled()
    strange = replace(measured, tables={"conv": other})
    assert step_time(plan, strange).by_kind["conv"] == step_time(plan, replace(measured, tables={})).by_kind["conv"]


def test_a_profile_survives_its_file_which_is_small(measured: Profile) -> None:
    text = written(measured)
    points = sum(len(table.points) for table in measured.tables.values())
    everything = len(list(samples("cpu")))
    assert json.loads(text)["name"] == measured.name
    assert len(text) / points * everything < LIMIT, "thousands of numbers"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"points": [], "curves": {}}, "numbers of features"),
        ({"points": [[1.0], [1.0, 2.0]], "curves": {}}, "numbers of features"),
        ({"points": [[1.0]], "curves": {"forward": {"slopes": [], "weights": [1.0, 2.0]}}}, "as many weights"),
    ],
    ids=["empty", "uneven", "too many weights"],
)
def test_a_damaged_table_is_told(table: Any, said: str, tmp_path: Path, measured: Profile) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(asdict(measured) | {"tables": {"conv": table}}))
    with pytest.raises(UnknownProfile, match=said):
        find(str(path))


# ---------------------------------------------------------------------------------------------- measuring


def test_a_gpu_is_waited_for_before_and_after_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: said.append("wait"))
    Clock(torch.device("cuda", 0)).once(lambda: said.append("call"), 2)
    assert said == ["wait", "call", "call", "wait"]


def test_losses_and_optimizers_have_the_names_of_their_works() -> None:
    found = {move.what for move in itertools.islice(moves(CPU), 400)}
    plan = compiled(**HPFF)
    others = {each.what for own in works(plan, "cpu") for each in own if each.node is None}
    assert others <= found | {"engine"}


def test_the_doctor_measures_a_cpu_and_lists_it(monkeypatch: pytest.MonkeyPatch, measured: Profile) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(calibrating, "calibrate", lambda device, going: measured)
    result = CliRunner().invoke(main, ["doctor", "--calibrate", "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["name"] == measured.name
    assert stored() == (measured,)
    listed = json.loads(CliRunner().invoke(main, ["doctor", "--format", "json"]).stdout)["profiles"]
    assert listed[0].startswith(f"{measured.name}: ")
    assert any("rtx3090" in line for line in listed)
    assert "GFLOP/s" in CliRunner().invoke(main, ["doctor", "--calibrate"]).output


def test_what_is_beside_the_works_of_an_instruction_comes_on_top(measured: Profile) -> None:
    plan = compiled()
    bare = replace(measured, overheads={})
    steps = sum(instruction.__class__.__name__ == "Step" for instruction in plan.instructions)
    more = replace(bare, overheads={"Step": Overhead(1.0, 1.0)})
    assert step_time(plan, more).seconds == pytest.approx(step_time(plan, bare).seconds + steps)
    assert step_time(plan, more).by_kind["instructions"] == pytest.approx(steps)
    twice = replace(bare, overheads={type(each).__name__: Overhead(0.0, 2.0) for each in plan.instructions})
    assert step_time(plan, twice).seconds == pytest.approx(2 * step_time(plan, bare).seconds)
