"""A step is predicted for the device that is going to run it, and a CPU takes what was predicted, to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import specc
from specc.cli import main
from specc.memory.prediction import predicted_for
from specc.plan import Plan
from specc.system import devices

from .documents import HPFF, MAN, Document, document, spec_of

LAYERS = [
    {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "drop", "op": "dropout", "p": 0.5},
    {"name": "b", "op": "conv_bn_relu", "out": 4}, {"name": "sum", "op": "add", "from": ["b", "drop"]},
    {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4},
]  # fmt: skip
STEPS: dict[str, Document] = {
    "one block": {"split": {"blocks": 1}, "auxiliary": {}},
    "dropout and a join": {"backbone": {"layers": LAYERS}, "split": {"after": ["sum"]}},
    "dropout of channels": {
        "backbone": {"layers": [LAYERS[0], LAYERS[1] | {"channels": True}, *LAYERS[2:]]},
        "split": {"after": ["sum"]},
    },
    "two levels, patches, an average": HPFF | MAN,
    "adamw, recompute": HPFF | {"train": {"optimizer": {"name": "adamw"}, "recompute": True}},
    "bf16": HPFF | {"train": {"precision": "bf16"}},
}


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(devices, "kind_found", lambda: "cpu")
    monkeypatch.chdir(tmp_path)
    return


def written(**parts: Any) -> Path:
    path = Path("spec.yaml")
    path.write_text(json.dumps(document(**parts)))
    return path


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def peaks(**parts: Any) -> tuple[int, int]:
    """On a CPU, and on CUDA."""
    spec = spec_of(document(**parts))
    return specc.compile(spec, device="cpu").memory.peak_bytes, specc.compile(spec, device="cuda").memory.peak_bytes


# ---------------------------------------------------------------------------------------------- runs


@pytest.mark.parametrize("name", STEPS)
def test_a_run_on_a_cpu_takes_what_was_predicted(name: str) -> None:
    train = {"epochs": 1, **STEPS[name].get("train", {})}
    result = call("run", written(**STEPS[name] | {"train": train}), "--run-dir", "run")
    assert result.exit_code == 0, result.output
    memory = json.loads(Path("run/summary.json").read_text())["memory"]
    assert memory["measured_peak_bytes"] == memory["predicted_peak_bytes"]


def test_a_budget_between_the_two_rules_is_refused_before_the_run() -> None:
    parts: Document = {"backbone": {"layers": LAYERS}, "split": {"blocks": 1}, "auxiliary": {}}
    cpu, cuda = peaks(**parts)
    assert cuda < cpu
    spec = written(**parts, budget={"memory": (cpu + cuda) // 2})
    assert "SPC501" in call("validate", spec).output
    assert "SPC501" in call("run", spec, "--run-dir", "run").output
    assert not Path("run").exists()
    assert call("validate", spec, "--device", "cuda:0").exit_code == 0
    assert call("validate", written(**parts, budget={"memory": cpu})).exit_code == 0


def test_the_rule_is_that_of_the_device_that_torch_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the guess without torch was wrong, the plan is made anew."""
    monkeypatch.setattr(devices, "kind_found", lambda: "cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert call("run", written(train={"epochs": 1}), "--run-dir", "run").exit_code == 0
    plan = Plan.from_json(Path("run/plan.json").read_text())
    assert plan.memory == specc.compile(spec_of(document()), device="cpu").memory


def test_a_resumed_run_is_predicted_for_its_new_device() -> None:
    plan = specc.compile(spec_of(document(**HPFF)), device="cuda")
    moved = predicted_for(plan, "cpu")
    assert moved.memory == specc.compile(spec_of(document(**HPFF)), device="cpu").memory != plan.memory
    assert moved.fingerprint == plan.fingerprint
    assert predicted_for(moved, "cpu") is moved


# ---------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize(("words", "device"), [((), "cpu"), (("--device", "cuda"), "cuda")], ids=["default", "cuda"])
def test_documents_say_whose_rules_were_used(words: tuple[str, ...], device: str) -> None:
    spec = written(backbone={"layers": LAYERS}, split={"after": ["sum"]})
    expected = dict(zip(("cpu", "cuda"), peaks(backbone={"layers": LAYERS}, split={"after": ["sum"]}), strict=True))
    memory = json.loads(call("plan", spec, "--format", "json", *words).stdout)["memory"]
    assert (memory["device"], memory["predicted_peak_bytes"]) == (device, expected[device])
    fitted = json.loads(call("fit", spec, "--budget", "1 GiB", "--format", "json", *words).stdout)
    whole = spec_of(document(backbone={"layers": LAYERS}, split={"blocks": 1}))
    assert fitted["device"] == device
    assert fitted["rows"][0]["predicted_peak_bytes"] == pytest.approx(
        specc.compile(whole, device=device).memory.peak_bytes, abs=64
    )  # fmt: skip
    (row,) = json.loads(call("compare", spec, "--format", "json", *words).stdout)["rows"]
    assert (row["predicted_for"], row["predicted_peak_bytes"]) == (device, expected[device])


def test_people_are_told_too() -> None:
    spec = written()
    assert "on a CPU" in call("plan", spec).output
    assert "cuDNN" not in call("plan", spec).output
    assert "on CUDA" in call("plan", spec, "--device", "cuda").output
    assert "cuDNN" in call("plan", spec, "--device", "cuda").output


@pytest.mark.parametrize("command", ["plan", "validate", "compare"])
def test_an_unknown_device_is_refused(command: str) -> None:
    result = call(command, written(), "--device", "tpu")
    assert (result.exit_code, "`tpu` is not a device" in result.output) == (2, True)


def test_a_plan_from_before_is_one_for_cuda() -> None:
    plan = specc.compile(spec_of(document()))
    old = json.loads(plan.to_json())
    del old["memory"]["device"]
    assert Plan.from_json(json.dumps(old)) == plan


# ---------------------------------------------------------------------------------------------- what is here


@pytest.mark.parametrize(("hidden", "built", "gpus", "found"), [
    (None, "cuda: Optional[str] = '13.2'\nhip: Optional[str] = None", 1, "cuda"),
    ("", "cuda: Optional[str] = '13.2'", 1, "cpu"),
    ("-1", "cuda: Optional[str] = '13.2'", 1, "cpu"),
    ("1,0", "cuda: Optional[str] = '13.2'", 2, "cuda"),
    (None, "cuda: Optional[str] = None\nhip: Optional[str] = None", 1, "cpu"),
    (None, "cuda: Optional[str] = '13.2'", 0, "cpu"),
])  # fmt: skip
def test_a_gpu_is_found_without_torch(
    hidden: str | None, built: str, gpus: int, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch" / "version.py").write_text(f"debug = False\n{built}\n")
    where = type("Spec", (), {"origin": str(tmp_path / "torch" / "__init__.py")})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: where)
    monkeypatch.setattr(devices, "_nvidia_gpus", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert devices.kind_found.__wrapped__() == found
