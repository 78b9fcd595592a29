"""The margin beyond predictions: its fit, its file, and how it is shown; measured for real on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.device import identity
from runtime.errors import RunError
from runtime.memory import calibration as calibrating
from runtime.memory.calibration import FEWEST, calibrate, calibrated
from runtime.memory.sampling import Peaks, context_of
from runtime.timing import calibrate as timing
from specc.cli import main
from specc.device.samples import candidates
from specc.profiles import Margin, Profile, Sample, find, folder, here, matching, save, stored, with_margins
from specc.profiles.margin import fit

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "specs" / "quickstart.yaml"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of ops are measured elsewhere."""
    found = replace(find("rtx3090"), name="my-cpu", device="my cpu", kind="cpu", source="calibrated", date="2026-01-01")
    monkeypatch.setattr(timing, "calibrate", lambda device, going: found)


VERSIONS = {"torch": torch.__version__, "cuda": "12.8", "cudnn": "91002"}
MARGIN = Margin("native", 20 * MIB, 0.05, (Sample("a", 100 * MIB, 120 * MIB, 125 * MIB),))


def made(margin: Margin | None = MARGIN, **changes: Any) -> Profile:
    """What an RTX 4090 might have given under the torch that is installed."""
    fields = {
        "name": "my-4090", "device": "NVIDIA GeForce RTX 4090", "source": "calibrated", "versions": VERSIONS,
        "date": "2026-01-31T12:00:00+00:00", "margin": margin,
    }  # fmt: skip
    return replace(find("rtx4090"), **(fields | changes))


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


# ---------------------------------------------------------------------------------------------- the fit

samples = st.builds(
    lambda predicted, excess: Sample("", predicted, predicted, predicted + excess),
    st.integers(2 * MIB, 2 << 34),
    st.integers(-2 * MIB, 2 << 30),
)


@given(st.lists(samples, min_size=1, max_size=9))
def test_the_margin_is_never_too_little_on_its_samples(found: list[Sample]) -> None:
    margin = Margin("native", *fit(found), tuple(found))
    spare = [margin.beyond(s.predicted_bytes) - s.excess for s in found]
    assert min(spare) >= 0
    if max(s.excess for s in found) > 0:
        assert min(spare) <= 1, "touches one of them"


def test_no_excess_needs_no_margin() -> None:
    assert fit([Sample("", 100, 90, 95), Sample("", 1000, 1000, 1000)]) == (0, 0.0)


def test_a_workspace_of_one_size_is_a_fixed_margin() -> None:
    fixed, relative = fit([Sample("", size, size, size + 8 * MIB) for size in (50 * MIB, 400 * MIB, 3000 * MIB)])
    assert (fixed, relative) == (8 * MIB, 0.0)


# ---------------------------------------------------------------------------------------------- the file


def test_a_margin_is_kept_with_the_times_of_its_device(cache: Path) -> None:
    path = save(made())
    assert path == folder() / "my-4090.json" == cache / "profiles" / "my-4090.json"
    assert stored() == (made(),)
    assert list(path.parent.iterdir()) == [path], "no temporary file stays"


def test_only_the_same_device_and_versions_match() -> None:
    wanted = {"kind": "cuda", "device": made().device, **VERSIONS, "cudnn": 91002}
    save(made())
    assert matching(wanted) == made()
    assert all(matching(wanted | {key: "other"}) is None for key in wanted)
    assert matching(wanted | {"cudnn": None}) is None, "it was measured with one"
    save(made(margin=None, date="2026-02-01T00:00:00+00:00"))
    assert matching(wanted) is None, "only times were measured"


def test_a_build_of_torch_is_no_other_version() -> None:
    public = torch.__version__.partition("+")[0]
    builds = made(versions=VERSIONS | {"torch": f"{public}+cu999"})
    save(builds)
    save(made(name="older", device="older", versions=VERSIONS | {"torch": "2.0.0"}))
    save(made(name="none", device="no margin", margin=None))
    save(made(name="cpu", kind="cpu", device="a processor"))
    assert with_margins() == (builds,)


GOOD = json.dumps(asdict(made()))
DAMAGED = {
    "a negative margin": GOOD.replace(f'"fixed_bytes": {20 * MIB}', '"fixed_bytes": -5').encode(),
    "not a number": GOOD.replace('"relative": 0.05', '"relative": NaN').encode(),
    "infinite": GOOD.replace('"relative": 0.05', '"relative": Infinity').encode(),
    "a missing key": GOOD.replace('"allocator"', '"alocator"').encode(),
    "samples of nothing": GOOD.replace(f'"predicted_bytes": {100 * MIB}', '"predicted_bytes": 0').encode(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_margin_is_as_if_its_file_were_not_there(name: str) -> None:
    folder().mkdir(parents=True)
    (folder() / "damaged.json").write_bytes(DAMAGED[name])
    assert stored() == ()
    result = run("plan", QUICKSTART, "--device", "cuda")
    assert result.exit_code == 0
    assert "not calibrated: specc doctor --calibrate" in result.output
    save(made())
    assert stored() == (made(),)


@pytest.mark.parametrize("kind", ["file", "folders", "link"])
def test_an_odd_cache_is_as_if_it_were_empty(kind: str, cache: Path) -> None:
    if kind == "file":
        cache.write_text("not a folder")
    else:
        (cache / "profiles" / "folder.json").mkdir(parents=True)
    if kind == "link":
        (cache / "profiles" / "link.json").symlink_to(cache / "nowhere")
    assert stored() == ()


# ---------------------------------------------------------------------------------------------- what is shown


def test_a_plan_shows_the_margin_beside_its_prediction() -> None:
    plain = json.loads(run("plan", QUICKSTART, "--device", "cuda", "--format", "json").stdout)["memory"]
    assert plain["margins"] == []
    save(made())
    shown = json.loads(run("plan", QUICKSTART, "--device", "cuda", "--format", "json").stdout)["memory"]
    (margin,) = shown.pop("margins")
    del plain["margins"]
    parts, before = shown.pop("device_bytes"), plain.pop("device_bytes")
    assert shown == plain, "never inside of it"
    assert (parts["source"], before["source"]) == ("calibrated", "public measurements")
    assert parts["tensors"] == before["tensors"] == plain["predicted_peak_bytes"]
    assert margin["margin_bytes"] == made().beyond(plain["predicted_peak_bytes"])
    lines = run("plan", QUICKSTART, "--device", "cuda").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("margin for cuDNN/cuBLAS workspaces")]
    assert "on NVIDIA GeForce RTX 4090: 20.65 MiB (calibrated 2026-01-31); prediction and margin 33.7 MiB" in line
    assert "OVER" not in line


def test_a_plan_says_when_only_the_margin_is_over_the_budget() -> None:
    save(made())
    result = run("plan", QUICKSTART, "--device", "cuda", "budget.memory=30 MiB")
    assert result.exit_code == 0
    assert "prediction and margin 33.7 MiB, OVER THE BUDGET" in result.stdout


def test_a_calibration_of_another_torch_is_named() -> None:
    save(made(versions=VERSIONS | {"torch": "2.0.0+cu117"}))
    line = run("plan", QUICKSTART, "--device", "cuda").stdout.splitlines()[-1]
    assert "RTX 4090 was made with torch 2.0.0+cu117, CUDA 12.8, cuDNN 91002; anew: specc doctor --calibrate" in line


def test_the_doctor_lists_what_is_calibrated() -> None:
    save(made())
    line = "my-4090: NVIDIA GeForce RTX 4090 (calibrated 2026-01-31, margin 20 MiB and 5.00%)"
    assert line in run("doctor").stdout
    assert line in json.loads(run("doctor", "--format", "json").stdout)["profiles"]


# ---------------------------------------------------------------------------------------------- measuring


def pretend(answers: Sequence[int | None]) -> Any:
    """A measurement that gives so many bytes too many for each plan in turn; None: it fails."""
    left = list(answers)
    predicted = {c.plan.fingerprint: c.predicted_bytes for c in candidates("cpu")}

    def measured(plan: Any, device: str, timeout: float = 0) -> Peaks:
        excess = left.pop(0)
        if excess is None:
            raise RunError("out of memory: so it goes")
        size = predicted[plan.fingerprint] + excess
        context = len(left) * MIB  # less and less
        return Peaks(identity(torch.device("cpu")), "live tensors", None, None, size, None, context)

    return measured


def test_a_plan_that_fails_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "FEWEST", 2)
    monkeypatch.setattr(calibrating, "in_own_process", pretend([MIB, None, 2 * MIB]))
    said: list[str] = []
    found = calibrate(torch.device("cpu"), said.append)
    assert len(found.samples) == 2
    assert len(said) == 3
    assert "not measured: out of memory: so it goes" in said[1]
    assert all(found.beyond(s.predicted_bytes) >= s.excess for s in found.samples)
    assert all(s.requested_bytes == s.allocated_bytes for s in found.samples), "unknown to this allocator"
    assert found.context_bytes == 2 * MIB, "the most of those that were measured"
    kept = made(found, kind="cpu", device="a processor", versions={"torch": torch.__version__, "threads": "1"})
    save(kept)
    assert calibrated(torch.device("cpu")) == kept


def test_the_context_is_what_is_taken_of_the_device_and_not_held_by_the_allocator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * MIB, 100 * MIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 22 * MIB)
    assert context_of(torch.device("cuda")) == 18 * MIB


@pytest.mark.usefixtures("no_times")
def test_too_few_samples_are_no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(candidates("cpu")) >= FEWEST
    assert len(candidates("cuda")) >= 2 * FEWEST
    monkeypatch.setattr(calibrating, "in_own_process", pretend([MIB, None, None]))
    result = run("doctor", "--calibrate", "--device", "cpu")
    assert result.exit_code == 3
    assert "too few plans could be measured: 1; out of memory: so it goes" in result.output
    assert stored() == ()


@pytest.mark.usefixtures("no_times")
def test_a_cache_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.write_text("not a folder")
    monkeypatch.setattr(calibrating, "in_own_process", pretend([MIB, MIB, MIB]))
    result = run("doctor", "--calibrate", "--device", "cpu")
    assert result.exit_code == 3
    assert "margin on my cpu: 1 MiB and 0.00% of the prediction" in result.output, "what was measured is not lost"
    assert "the calibration cannot be kept" in result.output
    assert "SPECC_CACHE" in result.output


@pytest.mark.usefixtures("no_times")
def test_without_a_gpu_only_times_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU's tensors are counted one by one, as predicted."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    document = json.loads(run("doctor", "--calibrate", "--format", "json").stdout)
    assert document["name"] == "my-cpu"
    assert document["margin"] is None
    found = here("cpu")
    assert found is not None
    assert found.margin is None
    missing = run("doctor", "--calibrate", "--gpu", "0")
    assert missing.exit_code == 3
    assert "GPU 0 was asked for" in missing.output


@pytest.mark.parametrize("words", [("--gpu", "0"), ("--device", "cpu")], ids=" ".join)
def test_a_device_is_for_calibrating_only(words: tuple[str, str]) -> None:
    result = run("doctor", *words)
    assert result.exit_code == click.UsageError.exit_code
    assert "--calibrate" in result.output


@pytest.mark.full
@pytest.mark.slow
def test_a_cpu_is_calibrated_for_real(cache: Path, tmp_path: Path) -> None:
    """Processes and plans as on a GPU. What is predicted is what is counted here, so the margin is next to nothing."""
    result = subprocess.run(
        [sys.executable, "-m", "specc", "doctor", "--calibrate", "--device", "cpu", "--format", "json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    (file,) = (cache / "profiles").iterdir()
    assert json.loads(file.read_text()) == document
    said = [line.split(":")[0] for line in result.stderr.splitlines() if not line.startswith("measuring")]
    assert said == [*(c.name for c in candidates("cpu")), f"wrote {file}"]
    assert (document["kind"], document["versions"]["torch"]) == ("cpu", torch.__version__)
    margin = document["margin"]
    assert margin["fixed_bytes"] + margin["relative"] < 1e-3 * min(s["predicted_bytes"] for s in margin["samples"])
    for sample in margin["samples"]:
        assert sample["allocated_bytes"] == pytest.approx(sample["predicted_bytes"], rel=5e-3)
