"""What several devices cannot do is said at its place in the spec, and so is what they do otherwise than one."""

from __future__ import annotations

import json

import pytest

from specc.checking import check_text
from specc.diagnostics import Diagnostic

from .documents import Document, document

VIT: Document = {"family": "vit", "width": 8, "heads": 2, "depth": 2, "mlp": 8, "patch": 4}
TWO = {"block_parallel": 2}


def found(**parts: object) -> list[Diagnostic]:
    """What is said about devices; all of it has a place."""
    said = [each for each in check_text(json.dumps(document(**parts))).diagnostics if each.code.startswith("SPC68")]
    assert all(each.span is not None and each.label for each in said)
    return said


def codes(**parts: object) -> list[tuple[str, str]]:
    return [(each.code, each.severity.value) for each in found(**parts)]


def test_one_device_has_nothing_said_of_it() -> None:
    assert codes(train={"precision": "fp16"}, auxiliary={"similarity": {}}) == []
    assert codes(devices={"data_parallel": 2, "block_parallel": 4}) == []
    assert codes(devices={"data_parallel": 2}, train={"precision": "fp16"}) == []


def test_more_stages_than_blocks() -> None:
    assert codes(devices={"block_parallel": 4}) == []
    (said,) = found(devices={"block_parallel": 5})
    assert (said.code, said.label, said.help) == ("SPC680", "at most 4", ("set `devices.block_parallel: 4`",))


@pytest.mark.parametrize(
    ("after", "about"),
    [
        (["stage2.0"], []),
        (["nothing"], ["no block but the last ends with `nothing`, so no stage does"]),
        (["stage1.1"], ["no block but the last ends with `stage1.1`, so no stage does"]),
        (["head"], ["no block but the last ends with `head`, so no stage does"]),
        (["stage2.0", "stage1.0"], ["`stage1.0` is no later than the end of the stage before"]),
        (["stage2.0", "stage2.0"], ["`stage2.0` is no later than the end of the stage before"]),
    ],
    ids=["right", "unknown", "inside a block", "the end", "another order", "twice"],
)
def test_names_of_ends_of_stages(after: list[str], about: list[str]) -> None:
    said = found(devices={"block_parallel": len(after) + 1, "after": after})
    assert [each.message for each in said] == about
    assert {each.code for each in said} <= {"SPC681"}
    assert all("`stage1.0`, `stage2.0`, `stage3.0`" in each.help[0] for each in said)


def test_fewer_images_than_copies() -> None:
    assert codes(devices={"data_parallel": 6}) == codes(devices={"data_parallel": 3}, train={"micro_batches": 2}) == []
    assert codes(devices={"data_parallel": 7}) == [("SPC682", "error")]
    assert codes(devices={"data_parallel": 4}, train={"micro_batches": 2}) == [("SPC682", "error")]


def test_losses_over_the_batch_and_copies() -> None:
    (said,) = found(auxiliary={"similarity": {}}, devices={"data_parallel": 2})
    assert (said.code, said.severity.value) == ("SPC683", "warning")
    assert "the samples of a copy with one another" in said.message
    assert codes(auxiliary={"similarity": {}}, devices=TWO) == []


def test_fp16_in_stages() -> None:
    assert codes(train={"precision": "fp16"}, devices=TWO) == [("SPC684", "error")]
    assert codes(train={"precision": "bf16"}, devices=TWO) == []


def test_dropout_on_several_devices() -> None:
    parts = {"split": {"blocks": 2}, "devices": TWO}
    assert codes(backbone=VIT, **parts) == []
    assert codes(backbone={**VIT, "dropout": 0.1}, **parts) == [("SPC685", "note")]


BOTH: Document = {"levels": [{"name": "pairs", "window": 2}]}
APART: Document = {"block_parallel": 2, "mode": "decoupled"}


def test_decoupled_stages_within_a_window() -> None:
    """Its gradient would come back from the next stage, which nobody waits for."""
    (said,) = found(**BOTH, devices=APART)
    assert (said.code, said.label) == ("SPC687", "not over windows")
    assert "has a gradient that comes back from block " in said.message
    assert [each.text for each in said.secondary] == ["more than one block"]
    assert codes(**BOTH, devices=TWO) == []
    assert codes(devices=APART, ema_links=[{"from": "next"}]) == []


def test_decoupled_stages_between_windows() -> None:
    """Units 1 and 3 alone: windows of blocks 0 and 1, and of blocks 2 and 3."""
    pairs = {"levels": [{"name": "pairs", "window": 2, "skip": [2]}]}
    assert codes(**pairs, devices={**APART, "after": ["stage2.0"]}) == []
    assert codes(**pairs, devices={**APART, "after": ["stage1.0"]}) == [("SPC687", "error")]
