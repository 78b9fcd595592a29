"""What a package adds to a step is done where all is that it works on, or it is said where the spec asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any, ClassVar, Literal

import pytest
import torch

from runtime.engine.session import Session
from runtime.engine.wire import Wire
from specc.checking import check_text
from specc.diagnostics import Diagnostic
from specc.extending import (
    Addition,
    AddsTo,
    After,
    Backward,
    EmaUpdate,
    Extension,
    Forward,
    Instruction,
    Makes,
    Reads,
    Steps,
    Uses,
)
from specc.layout import every_rank, laid_out, stages_of, stages_on
from specc.layout.witness import witness
from specc.plan import Plan, Send
from specc.profiles import find
from specc.spec.sections.train import ADDITIONS
from specc.system import plugins

from .documents import HPFF, MAN, Document, compiled, document
from .ranks import in_ranks
from .test_ranks_exact import Found, alone, detached, off, steps_of, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Halve(Extension):
    """Halves a gradient before it goes through a block."""

    kind: Literal["halve"] = "halve"
    gradient: AddsTo

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        machine.shrink(values[self.gradient], 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Extension):
    """Looks at what two blocks give."""

    kind: Literal["compare"] = "compare"
    first: Reads
    other: Reads
    result: Makes

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        values[self.result] = machine.divide(values[self.other], 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap(Extension):
    """Changes the parameters of two blocks."""

    kind: str = "swap"
    one: Steps
    other: Steps

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie(Extension):
    """Adds the weights of one block to the gradient at another."""

    kind: Literal["tie"] = "tie"
    uses: Uses
    gradient: AddsTo

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Extension):
    """Looks at the gradients of a block."""

    kind: Literal["watch"] = "watch"
    after: After

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur(Extension):
    """Changes a value that some have read already."""

    kind: Literal["blur"] = "blur"
    value: AddsTo

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        values[self.value] = machine.divide(values[self.value], 2.0)  # whose graph needs what was there


def addition(name: str, made: type[Extension], put: Any) -> type[Addition]:
    """What a spec names, which puts its instructions into a program."""

    class Added(Addition):
        kind: Literal[name]  # type: ignore[valid-type]
        instruction: ClassVar[type[Extension]] = made

        def into(self, program: Sequence[Instruction]) -> Iterator[Instruction]:
            yield from put(program)

    return Added


def halved(program: Sequence[Instruction]) -> Iterator[Instruction]:
    for each in program:
        if isinstance(each, Backward):
            yield Halve(gradient=each.cotangent, slice=each.slice)
        yield each


def compared(program: Sequence[Instruction]) -> Iterator[Instruction]:
    yield from program
    yield Compare(first="x1", other="x4", result="difference")


def before_steps(made: Extension) -> Any:
    def put(program: Sequence[Instruction]) -> Iterator[Instruction]:
        at = next(i for i, each in enumerate(program) if each.kind == "step" or isinstance(each, EmaUpdate))
        yield from (*program[:at], made, *program[at:])

    return put


def blurred(program: Sequence[Instruction]) -> Iterator[Instruction]:
    """What the second block gives, when the third one has read it, and perhaps the second unit's head has not."""
    for each in program:
        yield each
        if isinstance(each, Forward) and (each.block, each.slice) == (2, 0):
            yield Blur(value="x2")


def tied(program: Sequence[Instruction]) -> Iterator[Instruction]:
    for each in program:
        if isinstance(each, Backward) and each.block == 0:
            yield Tie(uses=("block3",), gradient=each.cotangent)
        yield each


HALVE, COMPARE, BLUR, TIE = (
    addition(name, made, put)
    for name, made, put in (
        ("halve", Halve, halved), ("compare", Compare, compared), ("blur", Blur, blurred), ("tie", Tie, tied),
    )
)  # fmt: skip
SWAP = addition("swap", Swap, before_steps(Swap(one="block0", other="block3")))
NEAR = addition("near", Swap, before_steps(Swap(kind="near", one="block2", other="block3")))
WATCH = addition("watch", Watch, before_steps(Watch(after=("block0",))))
KINDS = ("halve", "compare", "blur", "tie", "swap", "near", "watch")


def offered() -> dict[tuple[str, str], tuple[EntryPoint, ...]]:
    """As if a package were installed."""
    return {("instruction", kind): (EntryPoint(kind, f"{__name__}:{kind.upper()}", plugins.GROUP),) for kind in KINDS}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "offers", offered)
    monkeypatch.setattr(ADDITIONS, "loaded", {})


STAGES, COPIES = {"block_parallel": 2, "after": ["stage2.0"]}, {"data_parallel": 2}


def parts(kind: str, **more: Any) -> Document:
    return {**MAN, **HPFF, "train": {"instructions": [{"kind": kind}]}, **more}


def said(kind: str, **more: Any) -> list[Diagnostic]:
    return [each for each in check_text(json.dumps(document(**parts(kind, **more)))).diagnostics if each.is_error]


@pytest.mark.parametrize("kind", ["swap", "tie"])
def test_what_is_in_two_stages_is_said_where_it_is_asked_for(kind: str) -> None:
    (found,) = said(kind, devices=STAGES)
    assert found.code == "SPC686"
    assert "in different stages: that of blocks 0 to 1 and that of blocks 2 to 3" in found.message
    assert found.span is not None
    assert found.label.startswith(f"`{kind} ")
    assert [each.text for each in found.secondary] == ["spread over devices"]
    assert not said(kind)


def test_what_is_in_one_stage_is_done_there() -> None:
    assert not said("near", devices=STAGES, ema_links=[])
    assert [each.code for each in said("near", devices={"block_parallel": 4})] == ["SPC686"]


def test_weights_that_are_changed_after_they_were_lent_are_noticed() -> None:
    """The first stage averages those of the third block, and is sent them when the step begins."""
    (found,) = said("near", devices=STAGES)
    assert "what devices cannot have as one would: rank 0" in found.message


def test_gradients_that_are_not_summed_yet_are_seen_by_nobody() -> None:
    (found,) = said("watch", devices=COPIES)
    assert (found.code, "`grads:block0`, of which every copy has a part" in found.message) == ("SPC686", True)
    assert not said("watch", devices=STAGES)
    assert not said("halve", devices=COPIES)


def plan_of(kind: str, devices: Document) -> Plan:
    return compiled(**parts(kind, devices=devices))


def test_where_stages_begin_is_as_the_compiler_has_checked_it() -> None:
    """However long blocks take where the run is."""
    parts, gpu = {"split": {"blocks": 6}, "devices": {"block_parallel": 2}}, find("h100")
    added = compiled(**parts, train={"instructions": [{"kind": "compare"}]})
    assert stages_on(added, gpu) == stages_of(added) != stages_on(compiled(**parts), gpu)


def test_gradients_are_changed_when_all_that_is_added_to_them_is_there() -> None:
    plan = plan_of("halve", STAGES)
    ranks = every_rank(plan, (0, 2))
    assert witness(plan, ranks) == []
    assert [sum(isinstance(each, Halve) for each in rank.instructions) for rank in ranks] == [3, 4]


def test_what_was_sent_before_it_is_changed_stays_what_it_was() -> None:
    plan = plan_of("blur", STAGES)
    first, last = every_rank(plan, (0, 2))
    assert witness(plan, (first, last)) == []
    assert [each.kind for each in first.instructions].count("blur") == 1


def test_what_is_only_read_is_sent_to_the_last_that_makes_some_of_it() -> None:
    first, last = every_rank(plan_of("compare", STAGES), (0, 2))
    assert [each.kind for each in (*first.instructions, *last.instructions)].count("compare") == 1
    assert any(isinstance(each, Send) and each.value == "x1" for each in first.instructions)


def on_ranks(rank: int, plan: str) -> Found:
    plugins.offers = offered
    own = laid_out(Plan.from_json(plan), rank, (0, 2))
    return detached(steps_of(Session(own, "cpu", torch.float64, wire=Wire(own)), SIZES))


SIZES = (6, 6)


def test_steps_with_what_a_package_adds_are_those_of_one_device_to_the_bit() -> None:
    train = {"instructions": [{"kind": kind} for kind in ("halve", "compare", "blur")], "micro_batches": 2}
    plan = compiled(**MAN | HPFF | {"train": train}, devices=STAGES)
    found, wanted = together(in_ranks(on_ranks, 2, plan.to_json()), plan, (0, 2)), alone(plan, SIZES)
    for kind, of in wanted.items():
        assert found[kind].keys() == of.keys()
        assert all(off(found[kind][name], x) == 0 for name, x in of.items()), kind
