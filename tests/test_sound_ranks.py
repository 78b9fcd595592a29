"""What one of several devices does of a plan holds together by itself; and no file may say that it is a run's plan."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from specc.layout import every_rank
from specc.plan import Channel, Instruction, Plan, Receive, ReceiveSources, Reduce, Send, SendSources
from specc.plan.sound import faults, read

from .documents import HPFF, MAN, compiled

DEVICES = {"data_parallel": 2, "block_parallel": 3}


@pytest.fixture(scope="module")
def ranks() -> tuple[Plan, ...]:
    return every_rank(compiled(**MAN, **HPFF, train={"micro_batches": 2}, devices=DEVICES), (0, 1, 3))


def test_what_each_device_does_holds_together(ranks: tuple[Plan, ...]) -> None:
    assert [wrong for own in ranks for wrong in faults(own)] == []


def test_a_part_of_a_plan_is_no_runs_plan(ranks: tuple[Plan, ...]) -> None:
    for own in (ranks[0], ranks[-1]):
        with pytest.raises(ValueError, match="one device's part"):
            read(own.to_json())


def test_nothing_moves_in_a_plan_for_one_device(ranks: tuple[Plan, ...]) -> None:
    whole = compiled(**MAN, **HPFF, train={"micro_batches": 2}, devices=DEVICES)
    of_ranks = {type(each): each for own in ranks for each in own.instructions}
    for kind in (Reduce, Send, Receive, SendSources, ReceiveSources):
        document = json.loads(whole.to_json())
        moved = json.loads(replace(whole, instructions=(of_ranks[kind],)).to_json())["instructions"]
        document["instructions"] = [*document["instructions"], *moved]
        with pytest.raises(ValueError, match="about something that is not there"):
            read(json.dumps(document))


def test_what_is_not_on_the_host_neither_comes_nor_goes() -> None:
    document = json.loads(compiled().to_json())
    for kind in ("load", "evict"):
        there = {"kind": kind, "slice": 0, "state": "params:block0"}
        with pytest.raises(ValueError, match="about something that is not there"):
            read(json.dumps(document | {"instructions": [there, *document["instructions"]]}))
    read(compiled(train={"offload": ["optimizer", "parameters"]}).to_json())


CHANGES: dict[str, tuple[type[Instruction], dict[str, Any]]] = {
    "a stage that is not there": (Send, {"to": 7}),
    "a value that is not there": (Send, {"value": "x9"}),
    "itself": (Receive, {"source": 1}),
    "nothing to add to": (Receive, {"adds": True}),
    "no group of its own": (Reduce, {"group": "block0"}),
    "a stage that averages nothing": (SendSources, {"to": 2}),
    "tensors of another stage": (SendSources, {"tensors": ("stage1.0.conv1.weight",)}),
    "no unit": (ReceiveSources, {"unit": "unit9"}),
    "weights that it does not average": (ReceiveSources, {"tensors": ("fc.weight",)}),
    "too few weights": (ReceiveSources, {"tensors": ()}),
    "no source": (ReceiveSources, {"source": 0}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_moves_is_there_and_goes_where_somebody_is(change: str, ranks: tuple[Plan, ...]) -> None:
    kind, values = CHANGES[change]
    own = ranks[1]  # has all kinds
    at = next(i for i, each in enumerate(own.instructions) if isinstance(each, kind))
    changed = replace(own.instructions[at], **values)  # type: ignore[type-var]
    assert [*faults(replace(own, instructions=(*own.instructions[:at], changed, *own.instructions[at + 1 :])))]


@pytest.mark.parametrize(
    "change",
    [{"rank": 6}, {"copies": 0}, {"stages": (0, 1, 1)}, {"stages": (1, 2, 3)}, {"stages": (0, 2, 3)}, {"rank": 2},
     {"channels": (Channel(0, 3),)}, {"channels": (Channel(1, 1),)}],
    ids=repr,
)  # fmt: skip
def test_a_layout_is_one_of_its_ranks_and_blocks(change: dict[str, Any], ranks: tuple[Plan, ...]) -> None:
    layout = ranks[1].layout
    assert layout is not None
    assert [*faults(replace(ranks[1], layout=replace(layout, **change)))]


def test_a_stage_gives_what_the_next_one_takes_and_the_last_one_what_is_asked_for(ranks: tuple[Plan, ...]) -> None:
    def without(own: Plan, *kinds: str) -> Plan:
        return replace(own, instructions=tuple(each for each in own.instructions if each.kind not in kinds))

    for own in ranks[:3]:
        assert "not all blocks are run" in [*faults(without(own, "forward"))]
    assert any("which is not there" in wrong for wrong in faults(without(ranks[1], "receive")))
    last = replace(ranks[2], instructions=(*ranks[2].instructions,))
    shape = (ranks[2].data.classes + 1,)
    assert "the network does not give what the task asks for" in [
        *faults(replace(last, blocks=(*last.blocks[:-1], replace(last.blocks[-1], output=shape))))
    ]
