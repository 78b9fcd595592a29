"""What a process takes of a device: the steps replayed by torch's allocator, libraries, the context; does it fit."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings

import specc
from specc.device import MODEL, Measured, Model, answer, device_bytes, runs
from specc.device.estimate import reserved
from specc.graph.ops import numel
from specc.memory.caching import MIB, rounded
from specc.memory.prediction import Prediction, resident
from specc.memory.recording import record
from specc.memory.replay import THREADS, WORKSPACE, Launches, Libraries, recorded_steps, tensors
from specc.plan import Plan
from specc.profiles import Margin, find, save
from specc.spec.load import Spec, loads
from specc.views.device import device_document, device_lines

from .documents import document, documents, spec_of

GIB = 1 << 30
ROOT = Path(__file__).parent.parent
VERDICTS = ("fits", "barely fits", "may not fit", "does not fit")
RTX = find("rtx3090")
IMAGES = {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 4, "samples": 24, "batch_size": 6}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No calibration."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))


def on_cuda(**parts: object) -> Plan:
    return of(spec_of(document(**parts)))


def of(spec: Spec) -> Plan:
    return specc.compile(spec.on("cuda"))


@given(documents())
@settings(max_examples=10, deadline=None)
def test_as_much_is_reserved_as_is_predicted_and_every_step_of_the_replay_is_like_the_one_before(spec: dict) -> None:
    plan = of(spec_of(spec))
    steps = recorded_steps(plan)
    first, later, much_later = (steps.run(steps=n) for n in (1, 3, 6))
    assert later.highest_reserved >= later.highest_allocated >= plan.memory.peak_bytes
    assert first.highest_reserved <= later.highest_reserved == much_later.highest_reserved


def test_what_stays_after_a_step_are_the_networks_the_optimizers_state_and_the_batch() -> None:
    plan = on_cuda(train={"optimizer": {"name": "adam"}}, data=IMAGES)
    blas = 3 * MIB
    left = recorded_steps(plan, Libraries(blas=blas)).run()
    state = sum(
        rounded(size)
        for network in plan.networks.values()
        for category, total in resident(plan.config, network).items()
        for size in tensors(network, category, total)
        if size
    )
    batch = rounded(4 * 3 * 16 * 16 * 6) + rounded(8 * 6)
    assert left.allocated == state + batch + THREADS * blas


def test_two_batches_are_on_the_device_while_the_next_one_comes() -> None:
    """So much of them that this moment is the peak."""
    data = {**IMAGES, "image_size": 256, "batch_size": 24}
    layers = [{"name": "p", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": 4}]
    plan = on_cuda(data=data, backbone={"layers": layers}, split={"blocks": 1})
    images = 4 * 3 * 256 * 256 * 24
    steps = recorded_steps(plan)
    assert steps.run(steps=1).highest_allocated < 2 * images
    assert steps.run(steps=2).highest_allocated > 2 * images


def test_a_networks_bytes_are_as_many_tensors_as_it_has() -> None:
    plan = on_cuda(train={"optimizer": {"name": "adam"}})
    network = next(n for n in plan.networks.values() if n.name == "block0")
    shapes = [4 * numel(shape) for shape in network.graph.parameters.values()]
    found = {name: list(tensors(network, name, size)) for name, size in resident(plan.config, network).items()}
    assert found["parameters"] == [*shapes, 0]
    assert found["optimizer state"] == [*shapes, *shapes, 4 * len(shapes)]  # each counts its steps
    assert found["buffers"].count(8) == 3  # batches seen by three normalizations
    assert {name: sum(sizes) for name, sizes in found.items()} == resident(plan.config, network)


def test_the_optimizers_state_is_made_in_the_first_step_among_what_is_alive_then() -> None:
    """With the state made before the step there would be holes of other sizes."""
    plan = on_cuda(train={"optimizer": {"name": "adam"}})
    allocator = recorded_steps(plan).run(steps=1)
    addresses = sorted((block.address, key) for key, block in allocator.used.items() if isinstance(key, int))
    order = [key for _, key in addresses]
    assert order != sorted(order)


def workspaces(plan: Plan, share: float = 1.0) -> list[int]:
    recording = Launches(share)
    Prediction(plan, plan.memory.device, recording).run()
    return [event.bytes for event in recording.events if event.category == WORKSPACE and event.taken]


def one_convolution(groups: int = 1, **train: str) -> Plan:
    layers = [
        {"name": "a", "op": "conv", "out": 8, "groups": groups},
        {"name": "p", "op": "global_avg_pool"},
        {"name": "fc", "op": "linear", "out": 4},
    ]
    data = {**IMAGES, "channels": 4}
    return on_cuda(data=data, backbone={"layers": layers}, split={"blocks": 1}, train=train)


def test_a_convolution_copies_its_input_and_output_where_channels_come_first() -> None:
    both = 6 * 16 * 16 * (4 + 8)
    assert workspaces(one_convolution()) == [4 * both, 4 * both]  # forward, and the gradient of the kernel
    assert workspaces(one_convolution(), share=0.5) == [2 * both, 2 * both]
    assert workspaces(one_convolution(precision="fp16")) == [2 * both, 2 * both]


def test_channels_last_and_groups_need_no_copies() -> None:
    assert workspaces(one_convolution(memory_format="channels_last")) == []
    assert workspaces(one_convolution(groups=4)) == []


def test_workspaces_are_in_no_prediction_and_change_nothing_else() -> None:
    plan = one_convolution()
    recording = Launches(1.0)
    assert Prediction(plan, "cuda", recording).run() == plan.memory
    others = [event._replace(key=0) for event in recording.events if event.category != WORKSPACE]
    assert others == [event._replace(key=0) for event in record(plan).events]


def test_the_parts_are_the_whole_and_the_spread_is_around_it() -> None:
    plan = on_cuda()
    found = device_bytes(plan)
    assert found.tensors == plan.memory.peak_bytes
    assert found.context == MODEL.context_bytes
    assert min(found.allocator, found.libraries) >= 0
    assert found.bytes == found.tensors + found.allocator + found.libraries + found.context
    assert found.low < found.bytes < found.high
    assert found.low <= found.tensors + found.allocator + found.libraries + MODEL.least_context_bytes
    assert found.source == "public measurements"


def test_a_plan_for_a_cpu_is_asked_by_the_rules_of_cuda() -> None:
    spec = spec_of(document())
    assert device_bytes(specc.compile(spec.on("cpu"))) == device_bytes(of(spec))


def test_hopper_has_larger_workspaces_for_products() -> None:
    assert MODEL.libraries("NVIDIA H200").blas == 4 * MODEL.libraries().blas - 16 * 8 * 4 * 1024
    assert MODEL.libraries("NVIDIA A100 40GB") == MODEL.libraries()


def test_every_constant_of_the_model_has_a_source() -> None:
    said = " ".join(MODEL.sources)
    named = {field.name for field in fields(Model)} - {"format_version", "sources"}
    assert {name for name in named if name not in said} == set()
    assert 0.8 < MODEL.low < 1 < MODEL.high < 1.25
    assert MODEL.least_context_bytes < MODEL.context_bytes < 2 * GIB


def verdict_at(plan: Plan, memory: int) -> str:
    found = answer(plan, replace(RTX, memory_bytes=memory))
    assert found is not None
    return found.verdict


def test_whether_it_fits_is_said_in_four_degrees() -> None:
    plan = on_cuda(data={**IMAGES, "image_size": 64, "batch_size": 24, "samples": 24})
    found = device_bytes(plan, RTX.device)
    needed = reserved(plan, MODEL.libraries())
    assert verdict_at(plan, found.high) == "fits"
    assert verdict_at(plan, found.high - 1) == "barely fits"
    assert verdict_at(plan, MODEL.context_bytes + needed) == "barely fits"
    assert verdict_at(plan, MODEL.least_context_bytes + needed) == "may not fit"
    assert verdict_at(plan, plan.memory.peak_bytes) == "does not fit"


def test_what_is_missing_or_left_is_said_and_how_a_tight_device_does_it() -> None:
    plan = on_cuda(data={**IMAGES, "image_size": 64, "batch_size": 24, "samples": 24})
    found = device_bytes(plan, RTX.device)
    needed = reserved(plan, MODEL.libraries())

    def said(memory: int) -> str:
        shown = list(device_lines(plan, replace(RTX, memory_bytes=memory)))[-1]
        assert shown.startswith((*VERDICTS,))
        return shown.partition(": ")[2]

    assert said(found.high + 3 * GIB).endswith("to spare")
    assert said(found.bytes) == "about 0 MiB to spare"
    assert said(MODEL.context_bytes + needed) == "the allocator has to give back what it caches"
    assert said(MODEL.least_context_bytes + needed) == "it depends on how many kernels CUDA loads"
    assert said(MIB) == f"about {(found.bytes - MIB) / GIB:.1f} GiB too much"


def test_a_device_of_unknown_memory_and_a_cpu_have_no_answer() -> None:
    plan = on_cuda()
    assert answer(plan, replace(RTX, memory_bytes=None)) is None
    assert answer(plan, replace(RTX, kind="cpu")) is None
    assert list(device_lines(plan, replace(RTX, kind="cpu"))) == []
    assert not runs(plan, replace(RTX, memory_bytes=None), 0)


def test_people_and_machines_are_told_what_is_taken_and_whether_it_fits() -> None:
    plan = on_cuda()
    first, parts, fits = device_lines(plan, RTX)
    assert first.startswith("about 1.7 GiB on NVIDIA GeForce RTX 3090 (")
    assert first.endswith("), as nvidia-smi shows it")
    assert re.match(r" *tensors \d MiB, allocator \d+ MiB, libraries \d+ MiB", parts)
    assert parts.endswith("and context 1.7 GiB, by public measurements")
    assert fits == "fits NVIDIA GeForce RTX 3090 with 23.7 GiB: about 22.0 GiB to spare"
    found = device_document(plan, RTX)
    assert found is not None
    assert found["bytes"] == sum(found[part] for part in ("tensors", "allocator", "libraries", "context"))
    assert found["fits"] == {"verdict": "fits", "memory_bytes": RTX.memory_bytes}
    assert found["profile"] == "rtx3090"
    assert json.dumps(found, allow_nan=False)


def test_without_a_profile_nothing_is_said_to_fit_and_a_plan_for_a_cpu_has_no_such_line() -> None:
    first, _ = device_lines(on_cuda())
    assert "on the device" in first
    assert device_lines(specc.compile(spec_of(document()).on("cpu"))) is not None
    assert list(device_lines(specc.compile(spec_of(document()).on("cpu")))) == []
    assert device_document(specc.compile(spec_of(document()).on("cpu"))) is None


@pytest.mark.parametrize("recipe", ["e2e_cifar10", "man_cifar10"])
def test_the_documentation_says_what_is_reserved_for_how_many_tensors(recipe: str) -> None:
    plan = specc.compile(
        loads((ROOT / f"specs/{recipe}.yaml").read_text(), str(ROOT / f"specs/{recipe}.yaml")).on("cuda")
    )
    page = " ".join((ROOT / "docs/memory.md").read_text(encoding="utf-8").split())
    tensors, held = plan.memory.peak_bytes, reserved(plan)
    said = f"{held / GIB:.1f} GiB for {tensors / GIB:.1f} GiB"
    assert re.search(rf"`{recipe}` (reserves )?{said}", page)
    recorded_steps(plan).run(limit=int(1.05 * tensors) if recipe == "man_cifar10" else held)


def test_what_was_measured_here_takes_the_place_of_the_models_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    margin = Margin("native", 5 * MIB, 0.5, ())
    measured = replace(
        RTX, name="mine", source="calibrated", versions={"torch": "2.11.0"}, date="2026-01-01", margin=margin
    )
    monkeypatch.setattr("specc.profiles.finding._installed", lambda: "2.11.0")
    save(measured)
    plan = on_cuda()
    found = device_document(plan, RTX)
    assert found is not None
    assert found["source"] == "calibrated"
    assert found["libraries"] == measured.beyond(plan.memory.peak_bytes)
    assert "by a calibration and public measurements" in list(device_lines(plan))[1]
    assert asdict(device_bytes(plan, measured=Measured(0)))["libraries"] == 0
    save(replace(measured, margin=replace(margin, context_bytes=500 * MIB)))
    again = device_document(plan, RTX)
    assert again is not None
    assert again["context"] == 500 * MIB
    assert again["bytes"] == found["bytes"] - MODEL.context_bytes + 500 * MIB
    assert again["low"] == int(again["bytes"] * MODEL.low)
    other = device_document(plan, find("l4"))
    assert other is not None
    assert other["source"] == "public measurements"
