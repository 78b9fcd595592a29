"""The data sheets that come with specc are complete, say where every figure is from, and are no nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

import specc
from specc.plan import Plan
from specc.profiles import Profile, find, sheets
from specc.timing import step_time
from specc.timing.roofline import groups_of, seconds
from specc.timing.workbook import works

from .documents import compiled

WANTED = {"h200", "h100", "h100-pcie", "a100", "a100-40gb", "a100-pcie", "l4", "rtx4090", "rtx3090"}
FIGURES = {
    "rates.matmul",
    "rates.conv",
    "rates.other",
    "bandwidth",
    "host_bandwidth",
    "memory_bytes",
    "efficiency",
    "launch_seconds",
}
EFFICIENT = {"matmul", "conv", "grouped", "odd groups", "depthwise", "bandwidth", "host"}
DATA = {"dataset": "synthetic", "channels": 3, "classes": 10, "image_size": 32}
SHEETS = sorted(sheets(), key=lambda sheet: sheet.name)


def convolutions(groups: int) -> Plan:
    """A plan with convolutions of 24 channels in so many groups."""
    layers = [
        {"name": "a", "op": "conv", "out": 24},
        {"name": "b", "op": "conv", "out": 24, "groups": groups},
        {"name": "c", "op": "global_avg_pool"},
        {"name": "d", "op": "linear", "out": 10},
    ]
    data = {**DATA, "batch_size": 64, "samples": 64}
    return compiled(backbone={"layers": layers}, data=data, split={"blocks": 1})


@pytest.mark.parametrize("sheet", SHEETS, ids=[sheet.name for sheet in SHEETS])
def test_a_sheet_is_complete_and_every_figure_has_a_source(sheet: Profile) -> None:
    assert set(sheet.sources) == FIGURES
    assert all(len(source) > 20 for source in sheet.sources.values())
    assert set(sheet.rates) == {"matmul", "conv", "other"}
    assert all(set(own) == {"fp32", "bf16", "fp16"} for own in sheet.rates.values())
    assert set(sheet.efficiency) == EFFICIENT
    assert 24e9 < sheet.from_the_host < sheet.of_the_host < sheet.bytes_per_second
    assert sheet.memory_bytes
    assert 20 << 30 < sheet.memory_bytes < 145 << 30


@pytest.mark.parametrize("sheet", SHEETS, ids=[sheet.name for sheet in SHEETS])
def test_products_are_no_tf32_and_convolutions_are(sheet: Profile) -> None:
    """torch.backends.cuda.matmul.allow_tf32 is off by default, torch.backends.cudnn.allow_tf32 on."""
    matmul, conv, other = sheet.rates["matmul"], sheet.rates["conv"], sheet.rates["other"]
    assert matmul["fp32"] == other["fp32"] <= conv["fp32"]
    assert conv["bf16"] == matmul["bf16"] == conv["fp16"] == matmul["fp16"]
    assert conv["bf16"] == pytest.approx(2 * conv["fp32"], rel=0.02)  # of all of them, dense


def test_there_are_sheets_of_all_that_the_documentation_names_and_wheels_hold_them() -> None:
    assert {sheet.name for sheet in SHEETS} == WANTED
    folder = Path(specc.__file__).parent / "profiles/sheets"
    assert {path.stem for path in folder.glob("*.json")} == WANTED


def test_faster_devices_are_predicted_to_be_faster() -> None:
    plan = convolutions(1)
    rates = [step_time(plan, find(name)).images_per_second for name in ("l4", "rtx3090", "a100", "h200")]
    assert rates == sorted(rates)


@pytest.mark.parametrize(
    ("groups", "kind"), [(1, None), (24, "depthwise"), (3, "grouped"), (8, "odd groups"), (4, "odd groups")]
)
def test_grouped_convolutions_are_told_apart_by_the_channels_of_a_group(groups: int, kind: str | None) -> None:
    work = [each for own in works(convolutions(groups), "cuda") for each in own if each.what == "conv"]
    assert groups_of(work[1]) == kind


def test_a_group_of_odd_width_is_slower_than_one_that_libraries_have_kernels_for() -> None:
    sheet = find("rtx3090")

    def each(groups: int) -> float:
        work = [one for own in works(convolutions(groups), "cuda") for one in own if groups_of(one)]
        return sum(max(seconds(one, sheet, "fp32") - sheet.launch_seconds, 0) / one.flops for one in work)

    assert each(8) > 5 * each(3)
