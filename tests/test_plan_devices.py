"""`specc plan --devices`: every layout on so many devices."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import specc
from specc.cli import main
from specc.fit.layouts import Layouts, layouts
from specc.layout import every_rank, stages_of
from specc.profiles import find
from specc.spec.load import loads
from specc.timing import step_time
from specc.timing.events import Links

from .documents import MAN, Document, document, spec_of

LINKS = Links(50e9, 5e-6)
ASKED = ("--device-profile", "h100", "--bandwidth", "50GB/s")


def spec(**parts: Any) -> Document:
    return document(data=document()["data"] | {"batch_size": 16}, **MAN, **parts)


@cache
def found(count: int = 4) -> Layouts:
    return layouts(specc.compile(spec_of(spec())), count, LINKS, find("h100"))


def invoke(folder: Path, *words: str, **parts: Any) -> Result:
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec(**parts)))
    return CliRunner().invoke(main, ["plan", str(path), *words])


def test_every_layout_of_four_devices_is_there_and_stages_that_have_no_block_are_said() -> None:
    assert [row.name for row in found().rows] == [
        "data parallel 4", "data parallel 4, sharded",
        "block parallel 2 × data parallel 2", "block parallel 2 × data parallel 2, decoupled",
        "block parallel 4", "block parallel 4, decoupled",
        "data parallel 4, offloaded", "block parallel 2 × data parallel 2, offloaded", "block parallel 4, offloaded",
        "data parallel 4, end to end", "data parallel 4, sharded, end to end",
        "GPipe 2 × data parallel 2, end to end", "1F1B 2 × data parallel 2, end to end",
        "GPipe 4, end to end", "1F1B 4, end to end",
    ]  # fmt: skip
    assert found(8).left_out == ("8 stages are more than 4 blocks",)


def test_a_row_is_what_a_run_with_its_override_has() -> None:
    rows = [row for row in found().rows if row.overrides and not row.devices.shard]
    assert len(rows) == 8
    for row in rows:
        plan = specc.compile(loads(json.dumps(spec()), "spec", list(row.overrides)))
        stages = stages_of(plan) if row.devices.block_parallel in (1, 4) else None  # else times decide, not FLOPs
        if stages is not None:
            assert row.peak == max(own.memory.peak_bytes for own in every_rank(plan, stages))


def test_decoupled_stages_within_a_window_are_no_row_and_it_is_said() -> None:
    plan = specc.compile(spec_of(spec(levels=[{"name": "pairs", "window": 2}])))
    shown = layouts(plan, 2, LINKS, find("h100"))
    assert not [row.name for row in shown.rows if row.name.endswith("decoupled")]
    assert shown.left_out == ("decoupled stages wait for none after them, and windows of blocks cross them",)


def test_what_changes_in_the_numbers_is_said() -> None:
    rows = {row.name: row.changes for row in found().rows}
    assert rows["block parallel 4"] == ()
    assert rows["block parallel 4, decoupled"] == ("averages of weights 2 steps old",)
    assert rows["data parallel 4"] == ("how sums are rounded",)
    assert rows["GPipe 4, end to end"] == ("end-to-end gradients", "batch norm sees 1 images")


def test_pipelines_say_their_bubble_and_1f1b_keeps_less() -> None:
    gpipe, other = (next(row for row in found().rows if row.name.startswith(name)) for name in ("GPipe 4", "1F1B 4"))
    assert gpipe.bubble == other.bubble == pytest.approx(3 / (16 + 3))
    assert gpipe.slices == other.slices == 16
    assert other.activations < gpipe.activations
    assert other.sent == gpipe.sent


def test_the_front_has_what_nothing_else_is_better_than_in_both() -> None:
    rows = found().rows
    for row in rows:
        better = any(o.peak <= row.peak and o.seconds < row.seconds * (1 + 1e-8) and o is not row for o in rows)
        assert row.pareto != better


def test_offload_on_one_device_takes_less_memory_and_changes_no_number() -> None:
    plain, hosted, *_ = found(1).rows
    assert (plain.name, hosted.name) == ("data parallel 1", "one device, offloaded")
    assert hosted.overrides == ("devices={data_parallel: 1}", "train.offload=[optimizer, parameters]")
    assert hosted.peak < plain.peak
    assert hosted.changes == ()
    assert (
        hosted.seconds
        == step_time(specc.compile(spec_of(spec(train={"offload": [*hosted.offload]}))), find("h100")).seconds
    )


def test_a_spec_that_offloads_has_no_second_rows_of_it_and_no_shards() -> None:
    own = layouts(specc.compile(spec_of(spec(train={"offload": ["optimizer"]}))), 2, LINKS, find("h100"))
    assert [row.name for row in own.rows if row.local] == [
        "data parallel 2", "block parallel 2", "block parallel 2, decoupled",
    ]  # fmt: skip
    assert {row.offload for row in own.rows if row.local} == {("optimizer",)}
    assert own.left_out == ("shards cannot be beside offload",)


def test_the_command_shows_a_table_or_a_document(tmp_path: Path) -> None:
    shown = invoke(tmp_path, "--devices", "2", *ASKED)
    assert shown.exit_code == 0, shown.output
    assert "block parallel 2, decoupled\taverages of weights 2 steps old\t1\t" in shown.output
    assert "(p - 1) / (m + p - 1)" in shown.output
    told = invoke(tmp_path, "--devices", "2", *ASKED, "--latency", "20us", "--format", "json")
    page = json.loads(told.stdout)
    assert (page["devices"], page["bandwidth"], page["latency_seconds"]) == (2, 50e9, pytest.approx(2e-5))
    assert page["rows"][0]["overrides"] == ["devices={data_parallel: 2}"]
    assert {"predicted_peak_bytes", "sent_bytes", "step_seconds", "images_per_second", "pareto"} <= page["rows"][
        0
    ].keys()


def test_a_network_too_large_for_one_device_is_laid_out_all_the_same(tmp_path: Path) -> None:
    peaks = sorted(row.peak for row in found().rows)
    shown = invoke(tmp_path, "--devices", "4", *ASKED, "--format", "json", budget={"memory": peaks[1]})
    assert shown.exit_code == 0, shown.output
    assert [row["fits"] for row in json.loads(shown.stdout)["rows"]].count(True) >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--devices", "2", "--device-profile", "h100"), "--devices takes --bandwidth"),
        (("--bandwidth", "1GB/s"), "--bandwidth and --latency go with --devices"),
        (("--latency", "1us"), "--bandwidth and --latency go with --devices"),
        (("--devices", "2", *ASKED, "--verify"), "leave out what is about one"),
        (("--devices", "2", "--bandwidth", "5GB/h"), "is no bandwidth"),
        (("--devices", "2", *ASKED, "--latency", "soon"), "is no time"),
    ],
    ids=["bandwidth", "devices", "latency", "verify", "hours", "soon"],
)
def test_what_does_not_go_together_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    shown = invoke(tmp_path, *words)
    assert shown.exit_code == 2
    assert said in " ".join(shown.output.split())
