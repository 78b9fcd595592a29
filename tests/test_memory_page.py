"""Every figure of docs/memory.md that specc computes is what it computes today."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import specc
from specc.language.schema import show_bytes
from specc.plan import Plan
from specc.plan.flops import step_flops

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
NAME = re.compile(r"^name: (\w+)$", re.MULTILINE)
SPECS = {NAME.findall(body)[0]: body for body in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)}
ROWS = re.findall(r"^\| `(\w+)` \| (\d+) \| ([\d.]+ \w+) \| ([\d.]+) \| ([\d.]+) \|", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's specs as files, their parents beside them or where they are shipped."""
    folder = tmp_path_factory.mktemp("page")
    for name, body in SPECS.items():
        parent = re.search(r"^extends: (\w+)\.yaml", body)
        assert parent is not None
        at = folder if parent[1] in SPECS else ROOT / "specs"
        text = body.replace(f"extends: {parent[1]}.yaml", f"extends: {at / parent[1]}.yaml")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@cache
def plan_of(folder: Path, name: str) -> Plan:
    return specc.compile((folder if name in SPECS else ROOT / "specs") / f"{name}.yaml")


def row(folder: Path, name: str, base: str) -> tuple[str, ...]:
    plan, first = plan_of(folder, name), plan_of(folder, base)
    ratios = (plan.memory.peak_bytes / first.memory.peak_bytes, step_flops(plan) / step_flops(first))
    return name, str(len(plan.blocks)), show_bytes(plan.memory.peak_bytes), *(f"{ratio:.2f}" for ratio in ratios)


def test_the_tables_are_true(folder: Path) -> None:
    assert len(ROWS) > 15
    base = ""
    for shown in ROWS:
        base = shown[0] if shown[3:] == ("1.00", "1.00") else base  # the first of each group
        assert row(folder, shown[0], base) == shown


def test_the_claims_are_true(folder: Path) -> None:
    def ratio(name: str, base: str) -> float:
        return plan_of(folder, name).memory.peak_bytes / plan_of(folder, base).memory.peak_bytes

    for depth, base in ((101, "e2e_resnet101"), (152, "e2e_imagenet")):
        assert ratio(f"man_resnet{depth}_k4", base) < 0.55  # MAN: more than 45 % less
    assert ratio("man_imagenet", "e2e_imagenet") > 0.55  # but not at the released split
    assert ratio("careless_resnet101", "e2e_resnet101") > 1
    assert ratio("checkpointing_resnet110", "e2e_resnet110") < ratio("infopro_resnet110_k4", "e2e_resnet110")
    whole, cut = (plan_of(folder, name).memory.peak_bytes / 1e9 for name in ("e2e_deeplab", "infopro_deeplab_k2"))
    assert (f"{whole:.2f}", f"{cut:.2f}", f"{whole - cut:.2f}") == ("16.56", "9.28", "7.28")
    assert whole - cut == pytest.approx(19.43 - 12.01, rel=0.02)  # InfoPro on Cityscapes
