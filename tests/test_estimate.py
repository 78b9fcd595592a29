"""What training a network would take, asked in one call: from Python, and as a guard on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import runtime  # noqa: F401  networks are traced in this process
import specc
from specc.diagnostics import SpecError
from specc.estimating import NotAnExample
from specc.estimating.subject import Subject
from specc.fit.rivals import WHOLE
from specc.profiles import UnknownProfile
from specc.spec.load import loads

from .commands import Result, surroundings
from .commands import specc as typed

SMALL = "family:resnet_cifar"
SIZE = (3, 16, 16)
DEPTH = "backbone.depth=8"

NETS = """
from pathlib import Path
import torch
from torch import nn

Path(__file__).with_name("imported").touch()


class Net(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))


class Deciding(Net):
    def __init__(self):
        super().__init__(4, 5)

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def asks(num_classes): return Net(4, num_classes)
def of_seven(width=4): return Net(width, 7)
def needs(width): return Net(width, 7)
def maps(): return nn.Conv2d(3, 5, 1)
def headless(): return nn.Conv2d(3, 5, 3, stride=2)
def one_number(): return Net(4, 1)
def nothing(): return 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of code, an empty cache, and nobody who trusts the code."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPECC_TRUST_CODE", raising=False)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def small(**settings: Any) -> specc.Estimate:
    """A small residual network of specc's own."""
    return specc.estimate(SMALL, SIZE, **{"batch": 4, "overrides": [DEPTH], **settings})


def guard(folder: Path, network: str, *words: str) -> Result:
    return typed("estimate", network, "--input", "3x16x16", "--batch", "4", *words, cwd=folder)


# ------------------------------------------------------------------------------------------------------- from Python


def test_an_estimate_is_the_plan_of_end_to_end_training() -> None:
    found = small(optimizer={"name": "sgd", "momentum": 0.5}, precision="fp32", classes=10)
    document = {
        "specc": 1, "name": "same", "backbone": {"family": "resnet_cifar", "depth": 8},
        "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 4, "batch_size": 4},
        "train": {"optimizer": {"name": "sgd", "momentum": 0.5}},
    }  # fmt: skip
    plan = specc.compile(loads(json.dumps(document)))
    assert (found.plan.instructions, found.plan.networks) == (plan.instructions, plan.networks)
    assert (found.peak_bytes, found.categories) == (plan.memory.peak_bytes, plan.memory.categories)
    assert sum(found.categories.values()) == found.peak_bytes
    assert len(found.plan.blocks) == 1


def test_what_is_estimated_decides_what_it_takes() -> None:
    adamw, sgd, wide = small(), small(optimizer="sgd"), small(precision="fp32")
    assert adamw.categories["optimizer state"] > 1.9 * sgd.categories["optimizer state"]
    assert wide.categories["activations"] > 1.5 * adamw.categories["activations"]
    assert small(batch=8).categories["inputs"] == 2 * adamw.categories["inputs"]


def test_it_fits_up_to_the_last_byte_and_nobody_asked_where_there_is_no_budget() -> None:
    peak = small().peak_bytes
    assert small().fits is None
    assert small(budget=peak).fits is True
    assert small(budget=peak - 1).fits is False
    assert small(budget="8 GiB").budget == 8 << 30


def test_a_step_that_fits_its_budget_is_held_to_the_device_that_was_named_as_well() -> None:
    large = small(batch=4096, precision="fp32", budget="1 TiB", device_profile="rtx3090", overrides=[])
    assert large.answer is not None
    assert large.fits is (large.answer.verdict != "does not fit")
    beyond = specc.estimate("family:vgg", (3, 224, 224), batch=512, budget="1 TiB", device_profile="rtx3090")
    assert beyond.answer is not None
    assert (beyond.answer.verdict, beyond.fits) == ("does not fit", False)
    assert "does not fit NVIDIA GeForce RTX 3090" in str(beyond)
    assert beyond.time is not None
    assert beyond.time.device == beyond.answer.profile.device


def test_a_remedy_is_what_the_changed_training_takes() -> None:
    found = small(budget=small(batch=64).peak_bytes * 3 // 4, batch=64)
    assert found.remedies()
    for remedy in found.remedies():
        changed = small(batch=64, overrides=[DEPTH, remedy.override])
        assert changed.peak_bytes == remedy.peak <= (found.budget or 0)
    (told,) = found.diagnostics()
    assert told.code == "SPC501"
    assert small(budget="8 GiB").remedies() == ()


def test_advice_sets_exact_training_beside_local_methods() -> None:
    found = small(batch=64)
    advice = found.advice(found.peak_bytes * 2 // 3, ["dgl"])
    assert {row.method for row in advice.rivals.rows} == {WHOLE, "dgl"}
    assert advice.rivals.plain.peak == found.peak_bytes
    assert advice.rivals.chosen is not None
    assert advice.rivals.chosen.candidate.peak <= advice.rivals.budget
    assert "end-to-end training with" in str(advice)
    with pytest.raises(ValueError, match="give one, like advice"):
        found.advice()


def test_the_text_says_what_the_document_says() -> None:
    found = small(budget="4GiB")
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["predicted_peak_bytes"] == found.peak_bytes
    assert document["categories"] == dict(found.categories)
    assert (document["fits"], document["budget_bytes"], document["time"]) == (True, 4 << 30, None)
    assert found.device_bytes is not None
    assert document["device_bytes"]["bytes"] == found.device_bytes.bytes
    text = str(found)
    assert "resnet_cifar end to end: batches of 4 × 3×16×16, adamw, bf16, on CUDA" in text
    assert "fits the budget of 4 GiB" in text
    assert all(name in text for name in found.categories)
    assert "\x1b" not in text


def test_tensors_that_fit_a_budget_say_nothing_of_a_card_of_that_size() -> None:
    found = small(batch=512)
    assert found.device_bytes is not None
    assert "would be too small" in str(small(batch=512, budget=found.device_bytes.bytes - 1))
    assert "would be too small" not in str(small(batch=512, budget=found.device_bytes.bytes))
    assert "would be too small" not in str(small(batch=512, budget="60 MiB"))  # nobody means a card


def test_on_a_cpu_there_is_no_device_to_speak_of() -> None:
    found = small(device="cpu")
    assert found.device_bytes is None
    assert "on a CPU" in str(found)


@pytest.mark.parametrize(
    "example", [(), (2, 3, 16, 16, 16), (3, 0, 16), "3x16x16", 3, {}, {"image": 3}, ((3, 8, 8), "row")]
)
def test_what_is_no_example_is_told_so(example: Any) -> None:
    with pytest.raises(NotAnExample, match=r"the shape of one sample|at least one"):
        specc.estimate(SMALL, example)


def test_a_device_that_nobody_knows_is_told_so() -> None:
    with pytest.raises(UnknownProfile, match="no device profile `rtx3091`"):
        small(device_profile="rtx3091")


@pytest.mark.parametrize("word", ["yes", "on", "1e5", "null", "0x10", "a b", "C:\\nets.py:net", 'quo"te', "~"])
def test_whatever_is_named_arrives_as_it_was_typed(word: str) -> None:
    subject = Subject("net", {"timm": word}, SIZE, 4, "adamw", "bf16", None, 10, "cuda")
    assert subject.spec().config.backbone.timm == word


def test_estimating_takes_no_torch() -> None:
    code = f"import sys, specc; print(specc.estimate({SMALL!r}, {SIZE!r}).fits); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], env=surroundings(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


# ------------------------------------------------------------------------------------------------ a module of Python's


class Net(nn.Module):
    """A convolution and a classifier."""

    def __init__(self, outputs: int = 6) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


def test_a_module_is_estimated_as_the_plan_of_it_is() -> None:
    net = Net().eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = specc.estimate(net, torch.zeros(4, *SIZE), optimizer="sgd", precision="fp32")
    spec = {"data": {"batch_size": 4}, "train": {"optimizer": {"name": "sgd"}}}
    plan = specc.compile(spec, backbone=specc.trace(net, SIZE))
    assert (found.peak_bytes, found.categories) == (plan.memory.peak_bytes, plan.memory.categories)
    assert (found.plan.data.classes, found.plan.name) == (6, "Net")
    assert not net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_what_was_traced_is_estimated_without_its_module_and_its_example() -> None:
    net = Net()
    backbone = specc.trace(net, SIZE)
    found = specc.estimate(backbone, batch=4)
    assert found.peak_bytes == specc.estimate(net, torch.zeros(4, *SIZE)).peak_bytes
    assert found.advice("64 MiB", ["dgl"]).rivals.plain.peak == found.peak_bytes
    with pytest.raises(SpecError, match="was traced for 3×16×16"):
        specc.estimate(backbone, (3, 8, 8))


@pytest.mark.parametrize(
    ("net", "said"), [(nn.Conv2d(3, 5, 3), "gives 5×14×14"), (Net(1), "gives 1:")], ids=["maps", "one number"]
)
def test_a_module_that_gives_no_answers_is_told_in_words(net: nn.Module, said: str) -> None:
    with pytest.raises(SpecError, match=rf"SPC304.*{said}"):
        specc.estimate(net, SIZE)


SIGNALS = nn.Sequential(nn.Conv1d(2, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))
VOLUMES = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize(("net", "sample"), [(SIGNALS, (2, 50)), (VOLUMES, (1, 6, 8, 8))], ids=["signals", "volumes"])
def test_signals_and_volumes_are_samples_too(net: nn.Module, sample: tuple[int, ...]) -> None:
    found = specc.estimate(net, torch.zeros(5, *sample))
    assert (found.plan.data.shape, found.plan.config.data.batch_size) == (sample, 5)
    assert found.plan.data.classes == net[-1].out_features
    spec = {"data": {"batch_size": 5}, "train": {"optimizer": {"name": "adamw"}, "precision": "bf16"}}
    assert found.peak_bytes == specc.compile(spec, backbone=specc.trace(net, sample)).memory.peak_bytes


def test_a_signal_for_each_point_of_a_signal_is_no_map() -> None:
    with pytest.raises(SpecError, match=r"SPC304.*gives 5×1×50"):
        specc.estimate(nn.Conv1d(2, 5, 1), (2, 50))


def test_a_module_needs_an_example() -> None:
    with pytest.raises(NotAnExample):
        specc.estimate(Net())


# --------------------------------------------------------------------------------------------------- as it is typed


def test_the_exit_code_guards_a_budget(tmp_path: Path) -> None:
    fits = guard(tmp_path, SMALL, DEPTH, "--budget", "8GiB")
    assert fits.returncode == 0
    assert fits.stdout.startswith("at the peak\tmemory\tshare\n")
    assert "fits the budget of 8 GiB" in fits.stdout
    over = guard(tmp_path, SMALL, DEPTH, "--budget", "1MiB")
    assert over.returncode == 1
    assert "does not fit the budget of 1 MiB" in over.stdout
    assert "error[SPC501]" in over.stderr
    assert "budget: {memory: 1MiB}" in over.stderr


def test_the_exit_code_guards_a_device(tmp_path: Path) -> None:
    done = typed("estimate", "family:vgg", "--input", "3x224x224", "--batch", "512", "--device-profile", "rtx3090",
                 cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1
    assert "error: does not fit NVIDIA GeForce RTX 3090" in done.stderr


def test_programs_are_given_a_document_whatever_fits(tmp_path: Path) -> None:
    done = guard(tmp_path, SMALL, DEPTH, "--budget", "1MiB", "--format", "json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["fits"], done.stderr) == (1, False, "")
    assert document["device"] == "cuda"  # whatever the machine is that guards
    assert all(each["predicted_peak_bytes"] <= 1 << 20 for each in document["remedies"])


def test_advice_comes_with_the_estimate(tmp_path: Path) -> None:
    done = guard(tmp_path, SMALL, DEPTH, "--budget", "8GiB", "--advice", "--format", "json")
    found = json.loads(done.stdout)
    assert found["rivals"]["budget_bytes"] == found["budget_bytes"]
    assert found["rivals"]["rows"][0]["predicted_peak_bytes"] == found["predicted_peak_bytes"]
    assert guard(tmp_path, SMALL, "--advice").returncode == 2


def test_a_file_of_code_is_run_only_where_somebody_says_so(own: Path) -> None:
    refused = guard(own, "nets.py:asks")
    assert refused.returncode == 1
    assert "error[SPC312]" in refused.stderr
    assert not (own / "imported").exists()
    trusted = guard(own, "nets.py:asks", "--trust-code", "--classes", "9")
    assert trusted.returncode == 0, trusted.stderr
    assert "of 9\n" in trusted.stdout
    (own / "imported").unlink()
    assert guard(own, "nets.py:asks", "--classes", "9").stdout == trusted.stdout
    assert not (own / "imported").exists()


@pytest.mark.parametrize(
    ("network", "task", "classes"),
    [("asks", "classification", 1000), ("of_seven", "classification", 7), ("maps", "segmentation", 5)],
)
def test_how_many_classes_there_are_is_what_the_network_gives(own: Path, network: str, task: str, classes: int) -> None:
    done = guard(own, f"nets.py:{network}", "--trust-code", "--format", "json")
    found = json.loads(done.stdout)
    assert (found["task"], found["classes"]) == (task, classes)


def test_a_network_that_does_not_ask_for_classes_is_traced_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    monkeypatch.setenv("SPECC_CACHE", str(own / "cache"))
    found = specc.estimate(f"{own / 'nets.py'}:of_seven", (3, 8, 8), batch=2)
    assert found.plan.data.classes == 7
    assert len(list((own / "cache").rglob("*.json"))) == 1


@pytest.mark.parametrize(
    ("network", "code", "said"),
    [
        ("nets.py:headless", "SPC304", "the network gives 5×7×7"),
        ("nets.py:one_number", "SPC304", "the network gives 1:"),
        ("nets.py:needs", "SPC308", "missing 1 required positional argument: 'width'"),
        ("nets.py:nothing", "SPC308", "gives a `int`, which is no `torch.nn.Module`"),
        ("nets.py:Deciding", "SPC308", "`return super().forward(x if x.sum() > 0 else -x)`"),
        ("nets.py:absent", "SPC307", "has no `absent`"),
        ("nets.py", "SPC109", "names no function of a file"),
        ("nets:net", "SPC109", "names no function of a file"),
        ("none.py:net", "SPC309", "No such file"),
        ("family:resnet_cifr", "SPC105", "did you mean `resnet_cifar`?"),
    ],
)
def test_what_cannot_be_estimated_is_told_in_words(own: Path, network: str, code: str, said: str) -> None:
    done = guard(own, network, "--trust-code")
    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr
    assert said in done.stderr
    assert "--> <estimate>:" in done.stderr


def test_code_that_reads_other_images_is_not_said_to_need_larger_ones(own: Path) -> None:
    done = typed("estimate", "nets.py:of_seven", "--input", "1x16x16", "--trust-code", cwd=own)
    assert done.returncode == 1
    assert "error[SPC301]: the backbone does not take images of 1×16×16" in done.stderr
    assert "larger images" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nets.py:asks", "--input", "16x"],
        ["nets.py:asks", "--input", "3x0x16"],
        ["nets.py:asks"],
        ["spec.yaml", "--input", "3x16x16"],
        [SMALL, "--input", "3x16x16", "--precision", "fp8"],
        [SMALL, "--input", "3x16x16", "--device", "cpu", "--device-profile", "rtx3090"],
    ],
)
def test_a_wrong_command_line_is_no_wrong_network(tmp_path: Path, words: list[str]) -> None:
    assert typed("estimate", *words, cwd=tmp_path).returncode == 2


def test_arguments_of_the_function_are_overrides(own: Path) -> None:
    done = guard(own, "nets.py:needs", "--trust-code", "backbone.args.width=6", "--format", "json")
    assert json.loads(done.stdout)["parameters"] == 6 * (3 * 9 + 1) + 7 * 7
