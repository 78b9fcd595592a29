"""What a GPU does differently, as far as a machine without one can tell; and the benchmark that will tell the rest.

CUDA's rules of mixed precision are held to the CPU's under fake tensors; its allocator, its clock and its failures are
played by stand-ins; the benchmark runs for real, on live tensors.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode

import specc
from runtime.engine import device as devices
from runtime.engine.model import Model
from runtime.engine.network import at_least_fp32
from runtime.errors import BudgetExceeded, Interrupted, RunError
from runtime.memory import sampling
from runtime.memory.meter import LiveTensors, Meter
from runtime.memory.sampling import Peaks, in_own_process, sample
from runtime.memory.trace import trace
from runtime.run import clock
from runtime.run.checkpoint import newest
from runtime.run.clock import StepClock
from runtime.run.endings import ending_for
from runtime.run.rundir import RunDir
from runtime.run.saving import load, save
from runtime.run.shown import Silence
from runtime.run.trainer import Trainer, step_seed
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.spec.load import loads

from .documents import MAN, compiled, document
from .parts import partly

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "gpu_memory.py"
GPU = torch.device("cuda", 0)
MIB = 1 << 20


def plan_of(image_size: int = 64, **parts: Any) -> Plan:
    data = {
        "dataset": "synthetic",
        "image_size": image_size,
        "channels": 3,
        "classes": 4,
        "samples": 8,
        "batch_size": 2,
    }
    return specc.compile(loads(json.dumps({"specc": 1, "name": "x", "data": data} | parts)))


# ---------------------------------------------------------------------------------------------- mixed precision

BACKBONES: dict[str, dict[str, Any]] = {
    "resnet": {"family": "resnet", "depth": 18},
    "vit": {"family": "vit", "width": 48, "heads": 3, "depth": 2},
    "mobilenet_v3": {"family": "mobilenet_v3"},
    "convnext": {"family": "convnext"},
    "normalisations": {
        "layers": [
            {"name": "a", "op": "conv", "out": 8}, {"name": "gn", "op": "group_norm", "groups": 2},
            {"name": "b", "op": "conv", "out": 8}, {"name": "ln", "op": "layer_norm"},
            {"name": "c", "op": "conv", "out": 8}, {"name": "soft", "op": "softmax"},
            {"name": "gelu", "op": "gelu"}, {"name": "silu", "op": "silu"}, {"name": "tanh", "op": "tanh"},
            {"name": "join", "op": "concat", "from": ["tanh", "a"]}, {"name": "add", "op": "conv", "out": 8},
            {"name": "sum", "op": "add", "from": ["add", "ln"]}, {"name": "pool", "op": "global_avg_pool"},
            {"name": "head", "op": "linear", "out": 4},
        ]
    },
}  # fmt: skip
# Which kernel attends depends on the device; CUDA's masks are a byte; a CPU's fake batch norms keep bf16 statistics.
ELSEWHERE = {"attention", "dropout", "batch_norm"}


@contextmanager
def autocast(kind: str, dtype: torch.dtype) -> Iterator[None]:
    """`torch.autocast` turns itself off where there is no GPU; its rules are there all the same."""
    torch.set_autocast_enabled(kind, True)
    torch.set_autocast_dtype(kind, dtype)
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_enabled(kind, False)


def forward(plan: Plan, kind: str, dtype: torch.dtype) -> Iterator[tuple[str, str, int]]:
    """For every node its op, the number format of its output, and the bytes that it left alive."""
    with FakeTensorMode():
        model = Model(plan, torch.device(kind), torch.float32)
        for network in plan.networks.values():
            graph = network.graph
            parts = model.networks[network.name].parts
            image = torch.empty(2, *graph.input, device=kind, requires_grad=True)
            values: dict[str, torch.Tensor] = {}
            with LiveTensors([*model.tensors().values(), image]) as live, autocast(kind, dtype):
                for node, part in zip(graph.nodes, parts, strict=True):
                    before = live.alive
                    inputs = [values.get(name, image) for name in node.inputs]
                    if node.op.autocast == "full":
                        inputs = [at_least_fp32(x) for x in inputs]
                    values[node.name] = part(*inputs)
                    del inputs
                    alive = live.alive - before if node.op.name not in ELSEWHERE else 0
                    yield node.op.name, str(values[node.name].dtype), alive


HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CASTS = [(name, half) for name in BACKBONES for half in HALVES]
LARGE = [(name, "fp16") for name in ("resnet", "mobilenet_v3", "convnext")]  # their ops are cast as bf16's are


@pytest.mark.parametrize("case", partly(CASTS, LARGE))
def test_cuda_casts_and_keeps_what_a_cpu_does(case: tuple[str, str]) -> None:
    """CUDA's autocast has rules of its own (layer norms in fp32, for one), and the prediction knows one set only."""
    name, dtype = case[0], HALVES[case[1]]
    plan = plan_of(backbone=BACKBONES[name], split={"blocks": 2}, auxiliary={"classifier": {}, "reconstruction": {}})
    here, there = (list(forward(plan, kind, dtype)) for kind in ("cpu", "cuda"))
    for (op, format, kept), (_, other_format, other_kept) in zip(here, there, strict=True):
        assert format == other_format, op
        assert kept == pytest.approx(other_kept, rel=1e-3, abs=256), op


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_can_be_traced(precision: str) -> None:
    plan = compiled(**MAN, train={"precision": precision})
    assert trace(plan).peak_bytes == pytest.approx(as_traced(plan).peak_bytes, rel=5e-3)


# ---------------------------------------------------------------------------------------------- the allocator


class Allocator:
    """Stands in for `torch.cuda`'s: writes down what it is asked, and answers with peaks that it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, peaks: list[dict[str, int]]) -> None:
        self.said: list[str] = []
        self.peaks = peaks
        for name in ("reset_peak_memory_stats", "synchronize"):
            monkeypatch.setattr(torch.cuda, name, lambda device, name=name: self.said.append(name))
        monkeypatch.setattr(torch.cuda, "memory_stats", self.memory_stats)

    def memory_stats(self, device: torch.device) -> dict[str, int]:
        self.said.append("memory_stats")
        return {f"{name}_bytes.all.peak": size for name, size in self.peaks.pop(0).items()}


def test_the_meter_of_a_gpu_keeps_the_highest_of_each_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [{"requested": 90, "allocated": 100, "reserved": 200}, {"requested": 95, "allocated": 99, "reserved": 200}]
    allocator = Allocator(monkeypatch, peaks)
    meter = Meter(GPU, lambda: pytest.fail("the allocator knows what is resident"))
    for _ in range(2):
        assert meter.measure(lambda: allocator.said.append("step") or "result", ()) == "result"
    assert allocator.said == [  # peaks begin anew wherever they were read
        "reset_peak_memory_stats", "step", "synchronize", "memory_stats", "reset_peak_memory_stats",
    ] * 2  # fmt: skip
    assert (meter.requested_bytes, meter.peak_bytes, meter.reserved_bytes) == (95, 100, 200)


def test_an_allocator_that_knows_less_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    Allocator(monkeypatch, [{"allocated": 100, "reserved": 100}])
    meter = Meter(GPU, list)
    meter.measure(lambda: None, ())
    assert (meter.requested_bytes, meter.peak_bytes) == (0, 100)


def test_a_sample_leaves_the_first_step_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimizer's state is made there, and would be counted beside the gradients only from the second on."""
    steps: list[str] = []
    real = sampling.Session.train_step
    monkeypatch.setattr(sampling.Session, "train_step", lambda *a: steps.append("step") or real(*a))
    measure = Meter.measure
    monkeypatch.setattr(Meter, "measure", lambda *a: steps.append("metered") or measure(*a))
    plan = compiled()
    found = sample(plan, torch.device("cpu"))
    assert steps == ["step", *["metered", "step"] * 3]
    assert found.requested_bytes == found.allocated_bytes == pytest.approx(plan.memory.peak_bytes, rel=0.02)


# ---------------------------------------------------------------------------------------------- the device


def test_the_host_goes_on_while_a_gpu_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            said.append(f"mark on {stream}")

        def elapsed_time(self, other: Event) -> float:
            return 250.0  # milliseconds

    monkeypatch.setattr(clock.torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"the stream of {device}")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: said.append("wait"))
    timer = StepClock(GPU)
    for _ in range(2):
        timer.time(lambda: said.append("step"))
    assert said == ["mark on the stream of cuda:0", "step", "mark on the stream of cuda:0"] * 2
    assert timer.seconds == []
    timer.collect()
    timer.collect()
    assert timer.seconds == [0.25, 0.25]
    assert said[6:] == ["wait"]


def test_a_dead_gpu_tells_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(device: torch.device) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", dead)
    timer = StepClock(GPU)
    timer._marks.append(("begin", "end"))
    timer.collect()
    assert timer.seconds == []


@pytest.mark.parametrize(("name", "says"), [
    ("cpuu", "is not a device"), ("mps", "does not run on"), ("meta", "does not run on"), ("cuda:x", "is not a device"),
])  # fmt: skip
def test_other_devices_are_refused(name: str, says: str) -> None:
    with pytest.raises(RunError, match=says):
        devices.choose(name, None)


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_a_gpu_that_cannot_be_opened_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(device: torch.device) -> None:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nCompile with TORCH_USE_...")

    gpus(monkeypatch, 2)
    monkeypatch.setattr(torch.cuda, "set_device", busy)
    with pytest.raises(RunError, match=r"GPU 1 cannot be used: .* are busy or unavailable$"):
        devices.choose("cuda:1", None)
    with pytest.raises(RunError, match="there are only 2"):
        devices.choose(None, 2)


@pytest.mark.parametrize("counted", ["0", "1"], ids=["asked", "counted"])
def test_the_doctor_survives_a_driver_that_is_too_old(counted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Lightning imported, too: then torch takes a device that is counted for one that is there."""
    from runtime.run import doctor

    def too_old(index: int) -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nPlease update ...")

    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", counted)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", too_old)
    (gpu,) = doctor.facts()["gpus"]
    assert gpu == "GPU 0 cannot be used: The NVIDIA driver on your system is too old (found version 11040)."


@pytest.mark.parametrize(("error", "full"), [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
    (RuntimeError("CUDA error: out of memory"), True),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
    (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
    (RuntimeError("GET was unable to find an engine to execute this computation"), True),
    (RuntimeError("CUDA error: device-side assert triggered"), False),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
])  # fmt: skip
def test_libraries_run_out_of_memory_in_words_of_their_own(error: RuntimeError, full: bool) -> None:
    assert devices.ran_out(error) == full


# ---------------------------------------------------------------------------------------------- a run


def trainer_of(folder: Path, plan: Plan, device: str = "cpu") -> Trainer:
    return Trainer(plan, torch.device(device), RunDir.create(plan, "", "", folder), Silence(), "")


@pytest.mark.parametrize("taken", [False, True], ids=["by this run", "by others"])
def test_a_full_gpu_is_the_budgets_fault_only_if_it_is(taken: bool, tmp_path: Path, monkeypatch: Any) -> None:
    trainer = trainer_of(tmp_path / "run", compiled(budget={"memory": "64 MiB"}))
    trainer.device = GPU
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 4 * MIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: ((10 if taken else 900) * MIB, 999 * MIB))
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ...")
    said = ending_for(trainer, error)
    assert isinstance(said, BudgetExceeded) != taken
    assert isinstance(said, RunError)
    assert "Tried to allocate 2.00 GiB" in str(said)


def test_a_gpu_too_full_for_the_model_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **how: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ...")

    monkeypatch.setattr("runtime.run.trainer.Session", full)
    with pytest.raises(RunError, match="out of memory"):
        trainer_of(tmp_path / "run", compiled())


def test_a_run_on_a_gpu_reports_what_the_allocator_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    trainer = trainer_of(tmp_path / "run", compiled())
    trainer.train()
    assert "requested_peak_bytes" not in json.loads((tmp_path / "run" / "summary.json").read_text())["memory"]
    trainer.device = GPU
    trainer.meter.peak_bytes, trainer.meter.requested_bytes = 120, 100
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    memory = trainer._summary("completed")["memory"]
    assert {key: memory[key] for key in ("requested_peak_bytes", "allocated_peak_bytes", "margin_bytes")} == {
        "requested_peak_bytes": 100, "allocated_peak_bytes": 120, "margin_bytes": None
    }  # fmt: skip
    assert memory["measured_peak_bytes"] == memory["allocated_peak_bytes"]


def test_dropout_is_drawn_again_by_a_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step draws from its own seed, so a run that was stopped and another one that was not go on alike."""
    layers = [
        {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "drop", "op": "dropout", "p": 0.5},
        {"name": "b", "op": "conv_bn_relu", "out": 4}, {"name": "pool", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 4},
    ]  # fmt: skip
    parts: dict[str, Any] = {
        "backbone": {"layers": layers},
        "split": {"after": ["drop"]},
        "auxiliary": {"classifier": {}},
    }
    plan = specc.compile(loads(json.dumps(document(**parts, train={"epochs": 3}))))
    whole = trainer_of(tmp_path / "whole", plan)
    whole.train()
    first = trainer_of(tmp_path / "first", plan)

    def stop_in_the_second_epoch(step: int, loss: float | None) -> None:
        first.interruption.wanted = (first.epoch, step) == (1, 2)

    monkeypatch.setattr(first.progress, "step_done", stop_in_the_second_epoch)
    with pytest.raises(Interrupted, match="checkpoint saved"):
        first.train()
    torch.manual_seed(12345)  # another process has drawn something else
    second = Trainer(plan, torch.device("cpu"), first.run_dir, whole.progress, "")
    second.resume()
    assert (second.epoch, second.step) == (1, 2)
    second.train()
    for name, tensor in whole.session.model.tensors().items():
        assert torch.equal(tensor, second.session.model.tensors()[name]), name
    assert len({step_seed(*where) for where in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]}) == 4


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_state_of_an_optimizer_returns_to_its_device(precision: str, tmp_path: Path) -> None:
    plan = compiled(train={"optimizer": {"name": "adamw"}, "precision": precision})
    trainer = trainer_of(tmp_path / "run", plan)
    trainer.train()
    (tmp_path / "kept").mkdir()
    save(trainer.session, trainer_position(plan), tmp_path / "kept", trainer.averages.tensors())
    again = trainer_of(tmp_path / "again", plan)
    load(again.session, newest(tmp_path / "kept"))
    for group, optimizer in again.session.optimizers.items():
        states = trainer.session.optimizers[group].state.values()
        for state, before in zip(optimizer.state.values(), states, strict=True):
            assert {k: (v.device, v.dtype) for k, v in state.items()} == {
                k: (v.device, v.dtype) for k, v in before.items()
            }


def trainer_position(plan: Plan) -> Any:
    from runtime.run.checkpoint import Position

    return Position(1, 0, plan.fingerprint)


# ---------------------------------------------------------------------------------------------- samples apart


def test_what_goes_wrong_in_another_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = compiled()

    def died(code: int, out: str = "", err: str = "") -> Any:
        return lambda *a, **k: subprocess.CompletedProcess([], code, out, err)

    for answer, says in (
        (died(-9), "signal 9 .*run out of memory"),
        (died(-11), "signal 11$"),
        (died(1, "", "Traceback\nImportError: libcudnn.so.9"), "^ImportError: libcudnn.so.9$"),
        (died(1), "exit code 1"),
        (died(0, "[W] a library speaks\n" + json.dumps({"error": "out of memory: CUDA"})), "^out of memory: CUDA$"),
    ):
        monkeypatch.setattr(subprocess, "run", answer)
        with pytest.raises(RunError, match=says):
            in_own_process(plan, "cuda:0")
    fine = Peaks({}, "native", 1, 2, 3, 4)
    text = "a library speaks\n" + json.dumps({name: getattr(fine, name) for name in Peaks.__slots__}) + "\n"
    monkeypatch.setattr(subprocess, "run", died(0, text))
    assert in_own_process(plan, "cuda:0") == fine


# ---------------------------------------------------------------------------------------------- the benchmark


def test_the_benchmark_covers_50_mib_to_20_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchvision's models, which take long to trace: they are the rest."""
    monkeypatch.syspath_prepend(str(ROOT))
    script = runpy.run_path(str(SCRIPT), run_name="gpu_memory")
    rows = [row for row in script["chosen"](()) if not row.name.startswith("torchvision")]
    found = [script["compile_case"](row, "cuda") for row in rows]
    assert [row.error for row in rows if row.error] == []
    sizes = sorted(c.predicted_bytes for c in found)
    assert len(sizes) >= 20
    assert 50 * MIB < sizes[0] < 55 * MIB
    assert 19 << 30 < sizes[-1] < 20 << 30
    words = " ".join(" ".join(row.overrides) for row in rows)
    assert all(word in words for word in ("bf16", "fp16", "recompute", "adamw", "image_size", "depth", "blocks"))


@pytest.mark.slow
@pytest.mark.full
def test_the_benchmark_runs_for_real(tmp_path: Path) -> None:
    """Two specs on live tensors; one that is wrong and one that is not there do not keep the rest from running."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("specc: 1\nname: wrong\nbackbone: {family: resnte}\n")
    small = tmp_path / "small.yaml"
    small.write_text(json.dumps(document(name="small")))
    result = subprocess.run(
        [sys.executable, SCRIPT, "--device", "cpu", "--json", "out.json", "--max-bytes", "10 MiB",
         "--specs", wrong, "absent.yaml", small, "ResNet-32 e2e*"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SPECC_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [row[0] for row in table] == ["spec", "---", "wrong", "absent", "small"], "the others are too large"
    assert len({len(row) for row in table}) == 1
    assert "resnte" in table[2][2]
    assert "cannot read" in table[3][2]
    assert "2 not measured: wrong, absent" in lines[-1]
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["format_version"], found["device"], found["identity"]["kind"]) == (1, "cpu", "cpu")
    assert found["calibration"] is None
    row = found["rows"][-1]
    assert row["allocated_bytes"] == pytest.approx(row["predicted_bytes"], rel=0.01)
    assert found["errors"]["allocated"]["specs"] == 1
    assert found["errors"]["margin"] == {"specs": 0}


def test_a_benchmark_without_its_device_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    script = runpy.run_path(str(SCRIPT), run_name="gpu_memory")

    def absent(*_: Any) -> None:
        raise RunError("GPU 0 was asked for, but PyTorch sees no CUDA device here")

    script["main"].__globals__["in_own_process"] = absent
    assert script["main"]([]) == 1
    assert "error: GPU 0 was asked for" in capsys.readouterr().err
