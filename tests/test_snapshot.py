"""`plan --snapshot`: the predicted allocations as PyTorch's memory visualiser reads them; and the step in full."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from torch.cuda import _memory_viz

from specc.memory.recording import record
from specc.plan import Plan
from specc.views.plan import plan_document
from specc.views.snapshot import NO_CATEGORY, Space, snapshot_document, snapshot_pickle

from .commands import specc
from .documents import HPFF, MAN, compiled, document

Trace = list[dict[str, Any]]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled(**MAN, **HPFF)


def trace(found: dict[str, Any]) -> Trace:
    (events,) = found["device_traces"]
    return list(events)


def alive(events: Trace) -> Iterator[int]:
    """Bytes after every event."""
    size = 0
    for event in events:
        size += {"alloc": event["size"], "free_completed": -event["size"]}.get(event["action"], 0)
        yield size


def test_the_most_that_is_alive_is_the_predicted_peak(plan: Plan) -> None:
    assert max(alive(trace(snapshot_document(plan)))) == plan.memory.peak_bytes


def test_every_free_is_of_an_allocation_that_is_alive_and_none_overlap(plan: Plan) -> None:
    held: dict[int, int] = {}
    categories: dict[int, str] = {}
    for event in trace(snapshot_document(plan))[1:]:
        if event["action"] == "alloc":
            held[event["addr"]], categories[event["addr"]] = event["size"], event["category"]
            ends = sorted((start, start + size) for start, size in held.items())
            assert all(end <= start for (_, end), (start, _) in pairwise(ends))
        elif event["action"] == "free_completed":
            assert held.pop(event["addr"]) == event["size"]
            assert categories.pop(event["addr"]) == event["category"]
    (segment,) = snapshot_document(plan)["segments"]
    assert held == {b["address"]: b["size"] for b in segment["blocks"] if b["state"] == "active_allocated"}


def test_pytorchs_own_tools_read_it(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    found = pickle.loads(snapshot_pickle(plan))
    assert found == snapshot_document(plan)
    summary, steps = _memory_viz.segsum(found), _memory_viz.trace(found)  # they check that all sums are right
    assert "segments: 1" in summary
    assert steps.count(" = seg_0[") + steps.count(" = MEM[") == sum(e["action"] == "alloc" for e in trace(found))
    for page in (_memory_viz.trace_plot(found), _memory_viz.segment_plot(found)):
        assert "base64" in page
    _memory_viz.filter_alloc_free_pairs(found)
    assert capsys.readouterr().out == "", "it says so where a free has no allocation"


def test_frames_name_the_op_the_network_and_the_instruction(plan: Plan) -> None:
    frames = {tuple(f"{f['filename']}:{f['line']}:{f['name']}" for f in e["frames"])
              for e in trace(snapshot_document(plan))}  # fmt: skip
    first = next(i for i, step in enumerate(plan.instructions) if str(step) == "forward block1")
    assert ("block1:0:stage1.1.conv1", f"tiny:{first}:forward block1") in frames
    head = next(i for i, step in enumerate(plan.instructions) if str(step) == "head unit1.cascade.decoder")
    assert any(f"tiny:{head}:head unit1.cascade.decoder" in f for f in frames)
    assert ("network block0:0:parameters",) in frames
    assert ("batch:0:inputs",) in frames


def test_the_visualiser_finds_the_category_that_it_cannot_do_without(plan: Plan) -> None:
    first, *others = trace(snapshot_document(plan))
    assert (first["category"], first["size"]) == (NO_CATEGORY, 0)
    assert {event["category"] for event in others} == {name for m in plan.memory.timeline for name in m.categories}


def test_the_visualiser_reads_no_newer_pickle_than_protocol_4(plan: Plan) -> None:
    assert snapshot_pickle(plan)[:2] == b"\x80\x04"


def test_addresses_that_are_free_again_are_dealt_out_again() -> None:
    space = Space()
    first, second, third = (space.take(size) for size in (1000, 512, 1))
    assert (first, second, third, space.end) == (0, 1024, 1536, 2048)
    space.give(first, 1000)
    space.give(second, 512)
    assert (space.take(1500), space.end, space.free) == (0, 2048, [])
    space.give(third, 1)
    assert space.take(0) == third


def test_a_step_in_full_is_the_step_that_was_predicted(plan: Plan) -> None:
    instants = record(plan).instants
    for moment in plan.memory.timeline:
        own = [instant for instant in instants if instant.instruction == moment.instruction]
        top = max(own, key=lambda instant: instant.bytes)
        assert (top.bytes, dict(top.categories)) == (moment.bytes, moment.categories)
        assert own[0].op == ""
    assert "stage2.0.conv1" in {instant.op for instant in instants}
    assert {instant.instruction for instant in instants} == set(range(len(plan.instructions)))


def test_the_document_of_a_plan_carries_its_timeline(plan: Plan) -> None:
    found = plan_document(plan)
    assert [moment["instruction"] for moment in found["timeline"]] == found["instructions"]
    assert max(moment["bytes"] for moment in found["timeline"]) == found["memory"]["predicted_peak_bytes"]
    assert all(sum(moment["categories"].values()) == moment["bytes"] for moment in found["timeline"])


def test_a_snapshot_replaces_no_other_file_unasked(tmp_path: Path) -> None:
    spec, target = tmp_path / "tiny.yaml", tmp_path / "tiny.pickle"
    spec.write_text(json.dumps(document()), encoding="utf-8")
    target.write_text("mine", encoding="utf-8")
    refused = specc("plan", spec, "--snapshot", target, cwd=tmp_path)
    assert (refused.returncode, target.read_text(encoding="utf-8")) == (2, "mine")
    assert "exists: give another file, or --force" in refused.stderr
    assert specc("plan", spec, "--snapshot", spec, "--force", cwd=tmp_path).returncode == 2
    done = specc("plan", spec, "--snapshot", target, "--force", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"wrote {target}\n")
    assert set(pickle.loads(target.read_bytes())) == {"segments", "device_traces"}
