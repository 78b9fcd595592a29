"""The witness of layouts accepts what ranks are given to do, whatever is drawn, and notices what is done to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specc
from specc.layout.ranks import every_rank, with_reduces
from specc.layout.witness import witness
from specc.plan import Free, Instruction, Plan, Receive, ReceiveSources, Reduce, Send, SendSources, Step
from specc.plan.sound import faults
from specc.spec.load import loads
from specc.testing.strategies import Document, specs

from . import commands
from .documents import HPFF, MAN, compiled, document

Ranks = tuple[Plan, ...]
FORMATS = ("contiguous", "channels_last")


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Document, tuple[int, ...]]:
    """Any spec in slices, in any order, on any number of copies and stages, cut anywhere."""
    document: Document = draw(specs())
    batch = document["data"]["batch_size"]
    copies = draw(st.integers(1, min(batch, 3)))
    slices = draw(st.integers(1, max(1, batch // copies // 2)))
    train = {"micro_batches": slices, "memory_format": draw(st.sampled_from(FORMATS))}
    document |= {"devices": {"data_parallel": copies}, "train": document["train"] | train}
    if slices > 1:
        document["schedule"] = {"order": draw(st.sampled_from(("slices", "blocks")))}
    later = draw(st.sets(st.integers(1, 3)))
    return document, (0, *sorted(later))


def ranks_of(drawn: tuple[Document, tuple[int, ...]]) -> tuple[Plan, Ranks]:
    """The plan, and what is done of it by ranks whose stages begin at these blocks, where there are so many."""
    document, stages = drawn
    plan = specc.compile(loads(json.dumps(document)))
    return plan, every_rank(plan, tuple(stage for stage in stages if stage < len(plan.blocks)))


@given(layouts())
@settings(max_examples=25)
def test_what_ranks_do_is_the_plan_and_each_part_of_it_holds_together(drawn: tuple[Document, tuple[int, ...]]) -> None:
    plan, ranks = ranks_of(drawn)
    assert witness(plan, ranks) == []
    assert [wrong for own in ranks for wrong in faults(own)] == []
    assert all(Plan.from_json(own.to_json()) == own for own in ranks[-1:])
    told = every_rank(Plan.from_json(plan.to_json()), ranks[0].layout.stages if ranks[0].layout else (0,))
    assert [own.instructions for own in told] == [own.instructions for own in ranks], "as whoever is told the plan does"


@given(layouts(), st.data())
@settings(max_examples=20)
def test_an_instruction_that_is_left_out_is_noticed(
    drawn: tuple[Document, tuple[int, ...]], data: st.DataObject
) -> None:
    plan, ranks = ranks_of(drawn)
    rank = data.draw(st.integers(0, len(ranks) - 1))
    own = ranks[rank].instructions
    i = data.draw(st.integers(0, len(own) - 1))
    assert witness(plan, having(ranks, rank, own[:i] + own[i + 1 :])), str(own[i])


@given(layouts(), st.data())
@settings(max_examples=20)
def test_an_instruction_that_comes_twice_is_noticed(
    drawn: tuple[Document, tuple[int, ...]], data: st.DataObject
) -> None:
    plan, ranks = ranks_of(drawn)
    rank = data.draw(st.integers(0, len(ranks) - 1))
    own = ranks[rank].instructions
    i, j = (data.draw(st.integers(0, len(own) - k)) for k in (1, 0))
    assert witness(plan, having(ranks, rank, (*own[:j], own[i], *own[j:]))), str(own[i])


def having(ranks: Ranks, rank: int, instructions: Sequence[Instruction]) -> Ranks:
    """The ranks, of which one does something else."""
    changed = replace(ranks[rank], instructions=tuple(instructions))
    return (*ranks[:rank], changed, *ranks[rank + 1 :])


# --------------------------------------------------------------------------------------------- what is done to it


PLAN = {**MAN, **HPFF, "train": {"micro_batches": 2}}


@pytest.fixture(scope="module")
def laid() -> tuple[Plan, Ranks]:
    plan = compiled(**PLAN, devices={"data_parallel": 2, "block_parallel": 3})
    ranks = every_rank(plan, (0, 1, 3))
    assert witness(plan, ranks) == []
    return plan, ranks


def places(plan: Plan, *kinds: type[Instruction]) -> Iterator[int]:
    return (i for i, each in enumerate(plan.instructions) if isinstance(each, kinds))


def first(plan: Plan, *kinds: type[Instruction]) -> int:
    return next(places(plan, *kinds))


def swapped(own: Sequence[Instruction], i: int, j: int) -> list[Instruction]:
    found = list(own)
    found[i], found[j] = found[j], found[i]
    return found


def test_messages_in_another_order_than_they_are_waited_for_are_noticed(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    own = ranks[1].instructions
    i, j = (i for i in list(places(ranks[1], Receive))[:2])
    assert any("instead" in line for line in witness(plan, having(ranks, 1, swapped(own, i, j))))
    sent = list(places(ranks[0], Send))
    assert witness(plan, having(ranks, 0, swapped(ranks[0].instructions, sent[0], sent[1])))


def test_what_is_never_sent_is_waited_for_for_ever(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    i = list(places(ranks[1], Send))[-1]
    own = ranks[1].instructions
    assert any("waits for ever" in line for line in witness(plan, having(ranks, 1, own[:i] + own[i + 1 :])))


def test_ranks_that_wait_for_one_another_are_noticed() -> None:
    """The later stage waits for labels that the first sends after the gradient that it waits for."""
    plan = compiled(levels=[{"name": "all", "window": "all"}], devices={"block_parallel": 2})
    ranks = every_rank(plan, (0, 2))
    own = list(ranks[0].instructions)
    labels = next(i for i in places(ranks[0], Send) if own[i].about.startswith("labels"))
    gradient = first(ranks[0], Receive)
    assert labels < gradient
    own.insert(gradient, own.pop(labels))
    found = witness(plan, having(ranks, 0, own))
    assert [line.partition(":")[0] for line in found if "waits for ever" in line] == ["rank 0", "rank 1"]


def test_copies_do_not_step_weights_before_they_are_averaged() -> None:
    """However long a block's gradients have been final: until its step comes in the whole, others may read weights."""
    plan = compiled(**MAN)
    ordered = [each for each in plan.instructions if not isinstance(each, Free)]
    late = [each for each in ordered if str(each).startswith(("ema_update unit1", "step block2"))]
    assert [each.kind for each in late] == ["ema_update", "step"]
    found = list(with_reduces([*(each for each in ordered if each not in late), *late]))
    assert [each for each in found if each in late] == late


def test_sums_that_begin_before_all_is_there_are_noticed(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    own = list(ranks[0].instructions)
    i = first(ranks[0], Reduce)
    own.insert(0, own.pop(i))
    assert any("is being summed" in line for line in witness(plan, having(ranks, 0, own)))


def test_copies_that_sum_in_another_order_are_noticed(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    i, j = list(places(ranks[0], Reduce))[:2]
    assert any(
        "another copy sums" in line for line in witness(plan, having(ranks, 0, swapped(ranks[0].instructions, i, j)))
    )


def test_a_step_before_its_sums_have_begun_is_noticed(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    own = list(ranks[0].instructions)
    i = first(ranks[0], Step)
    group = own[i].about
    j = next(j for j in places(ranks[0], Reduce) if own[j].about == group)
    own.insert(j, own.pop(i))
    assert any("to be summed over the copies" in line for line in witness(plan, having(ranks, 0, own)))


def test_weights_that_are_lent_after_their_step_are_noticed(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    own = list(ranks[1].instructions)
    lent = own.pop(first(ranks[1], SendSources))
    assert isinstance(lent, SendSources)
    steps = [i for i, each in enumerate(own) if isinstance(each, Step) and each.group in lent.uses]
    own.insert(steps[0] + 1, lent)
    assert any("is not what it is in the whole step" in line for line in witness(plan, having(ranks, 1, own)))


def test_statistics_that_are_lent_before_a_forward_are_noticed() -> None:
    """With slices the average comes after some forwards of the next block, whose statistics it takes."""
    links = [{"from": "next", "average_buffers": True}]
    plan = compiled(ema_links=links, train={"micro_batches": 2}, schedule={"order": "slices"})
    ranks = every_rank(plan, (0, 2))
    assert witness(plan, ranks) == []
    own = list(ranks[1].instructions)
    own.insert(0, own.pop(first(ranks[1], SendSources)))
    assert witness(plan, having(ranks, 1, own))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Receive, {"shape": (1, 2, 3)}),
        (Receive, {"channels_last": True}),
        (Receive, {"slice": 1}),
        (Receive, {"adds": True}),
        (Receive, {"source": 2}),
        (Send, {"to": 2}),
        (Send, {"channels_last": True}),
        (SendSources, {"uses": ()}),
        (SendSources, {"tensors": ()}),
        (ReceiveSources, {"tensors": ()}),
        (Step, {"group": "block3"}),
        (Free, {"values": ()}),
    ],
    ids=lambda each: "" if isinstance(each, type) else "".join(each),
)
def test_a_field_that_says_something_else_is_noticed(
    laid: tuple[Plan, Ranks], kind: type[Instruction], change: dict[str, object]
) -> None:
    plan, ranks = laid
    rank = 0 if kind in (ReceiveSources,) else 1
    own = list(ranks[rank].instructions)
    i = first(ranks[rank], kind)
    own[i] = replace(own[i], **change)
    assert witness(plan, having(ranks, rank, own))


def test_ranks_that_are_not_those_of_the_plan_are_noticed(laid: tuple[Plan, Ranks]) -> None:
    plan, ranks = laid
    assert all(witness(plan, others) for others in (ranks[:-1], ranks[::-1], (plan,)))
    other = compiled(
        **{**PLAN, "levels": [{"name": "other", "window": 1}]}, devices={"data_parallel": 2, "block_parallel": 3}
    )
    assert "the ranks are of another plan" in witness(other, ranks)
    layout = ranks[0].layout
    assert layout is not None
    fewer = replace(ranks[0], layout=replace(layout, channels=layout.channels[1:]))
    assert witness(plan, (fewer, *ranks[1:])) == ["ranks disagree on the layout"]
    assert "copy 0: 2 ranks have the block `block0`" in witness(
        plan, (ranks[0], replace(ranks[1], blocks=(*ranks[0].blocks, *ranks[1].blocks)), *ranks[2:])
    )


def test_plan_verify_looks_at_all_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(document(devices={"data_parallel": 2, "block_parallel": 2})))
    assert commands.specc("plan", spec, "--verify", cwd=tmp_path).returncode == 0
    monkeypatch.setattr("specc.layout.ranks.with_reduces", lambda ordered: ordered)
    broken = commands.specc("plan", spec, "--verify", cwd=tmp_path)
    assert broken.returncode == 3
    assert "its gradients are to be summed over the copies" in broken.stderr
