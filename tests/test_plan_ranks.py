"""`specc plan` of several devices: what each does and takes, and a budget that each keeps to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import specc
from specc.diagnostics import Diagnostic
from specc.layout import every_rank, laid_out, stages_of, stages_on
from specc.plan import Plan
from specc.profiles import find
from specc.spec.load import loads

from .documents import MAN, document


def text(**parts: Any) -> str:
    return json.dumps(document(data=document()["data"] | {"batch_size": 16}, **MAN, **parts))


def plan_of(**parts: Any) -> Plan:
    return specc.compile(loads(text(**parts)))


def found(**parts: Any) -> list[Diagnostic]:
    """What is wrong with a spec."""
    try:
        plan_of(**parts)
    except specc.SpecError as error:
        return list(error.diagnostics)
    return []


def invoke(folder: Path, *words: str, **parts: Any) -> Result:
    (folder / "spec.yaml").write_text(text(**parts))
    return CliRunner().invoke(main(), ["plan", str(folder / "spec.yaml"), *words])


def main() -> Any:
    from specc.cli import main

    return main


BOTH = {"data_parallel": 2, "block_parallel": 2}


def test_the_document_has_an_entry_a_rank(tmp_path: Path) -> None:
    shown = invoke(tmp_path, "--device", "cuda", "--format", "json", "--device-profile", "h100", devices=BOTH)
    devices = json.loads(shown.stdout)["devices"]
    plan = plan_of(devices=BOTH)
    stages = stages_on(plan, find("h100"))
    assert devices["first_blocks"] == list(stages)
    assert [(each["copy"], each["stage"]) for each in devices["ranks"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for rank, each in enumerate(devices["ranks"]):
        own = laid_out(plan, rank, stages)
        assert each["blocks"] == [block.index for block in own.blocks]
        assert each["units"] == [unit.name for unit in own.units]
        assert each["samples"] == 8
        assert each["work_seconds"] > 0
    assert sum(each["sent_bytes"] for each in devices["ranks"]) == sum(
        each["received_bytes"] for each in devices["ranks"]
    )


def test_one_device_has_no_table_of_ranks(tmp_path: Path) -> None:
    assert json.loads(invoke(tmp_path, "--format", "json").stdout)["devices"] is None
    assert "received" not in invoke(tmp_path).stdout


def test_the_table_shows_every_rank(tmp_path: Path) -> None:
    lines = invoke(tmp_path, devices=BOTH).stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("rank\tcopy\tstage\tblocks\tunits\tpeak\tsent"))
    assert [line.split("\t")[:3] for line in lines[start + 1 : start + 5]] == [
        ["0", "0", "0"], ["1", "0", "1"], ["2", "1", "0"], ["3", "1", "1"]
    ]  # fmt: skip


def highest(devices: dict[str, int], **parts: Any) -> int:
    plan = plan_of(devices=devices, **parts)
    return max(own.memory.peak_bytes for own in every_rank(plan, stages_of(plan)))


def test_what_is_too_much_for_one_device_may_fit_several() -> None:
    budget = {"memory": highest({"data_parallel": 2})}
    assert [each.code for each in found(budget=budget)] == ["SPC501"]
    assert not found(budget=budget, devices={"data_parallel": 2})


def test_a_rank_over_the_budget_is_named_with_the_devices_that_would_fit() -> None:
    one = found(budget={"memory": highest({"data_parallel": 4})}, devices={"data_parallel": 2})
    assert [each.code for each in one] == ["SPC501"]
    assert "on rank 0 of 2 is over the budget" in one[0].message
    assert "`devices.data_parallel: 4` peaks at" in " ".join(one[0].help)


def test_more_stages_are_a_remedy_where_they_help() -> None:
    wide = {"backbone": {"family": "resnet_cifar", "depth": 14, "widths": [4, 64, 64, 64]}}
    limit = highest({"block_parallel": 4}, **wide)
    assert limit < highest({"block_parallel": 2}, **wide)
    one = found(budget={"memory": limit}, devices={"block_parallel": 2}, **wide)
    assert "`devices.block_parallel: 4` peaks at" in " ".join(one[0].help)
