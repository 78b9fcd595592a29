"""From a spec to a plan: blocks, units, order, round trip and fingerprint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import specc
from specc import Plan, SpecError
from specc.plan import FORMAT_VERSION, Backward, Forward, Free, Head

from .documents import HPFF, MAN, Document, compiled, document, documents, spec_of
from .shipped import REPRESENTATIVES, plan_of


def lines(plan: Plan) -> list[str]:
    return [str(instruction) for instruction in plan.instructions]


def position(plan: Plan, instruction: str) -> int:
    return lines(plan).index(instruction)


def errors(**parts: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        compiled(**parts)
    return [d.code for d in caught.value.diagnostics]


# ---------------------------------------------------------------------------------------------- blocks and units


def test_end_to_end_is_one_block_and_one_head() -> None:
    assert lines(compiled(split={"blocks": 1})) == [
        "forward block0",
        "head unit0.independent.final",
        "backward block0 to block0",
        "free grad0to0 graph0",
        "step block0",
    ]


def test_blocks_end_where_the_spec_cuts() -> None:
    plan = compiled()
    assert [block.layers for block in plan.blocks] == [
        ("stem", "stage1.0"), ("stage1.1", "stage2.0"), ("stage2.1", "stage3.0"), ("stage3.1", "head"),
    ]  # fmt: skip
    assert [block.input for block in plan.blocks[1:]] == [block.output for block in plan.blocks[:-1]]


@pytest.mark.parametrize("blocks", range(1, 8))
def test_even_blocks_have_even_numbers_of_layers(blocks: int) -> None:
    plan = compiled(split={"blocks": blocks})
    sizes = [len(block.layers) for block in plan.blocks]
    assert len(sizes) == blocks
    assert sum(sizes) == 8
    assert max(sizes[:-1], default=0) - min(sizes) <= 1, sizes


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_level_has_a_unit_for_every_window(window: int) -> None:
    plan = compiled(levels=[{"name": "wide", "window": window}])
    assert [(unit.start, unit.end) for unit in plan.units] == [(k, k + window - 1) for k in range(5 - window)]


def test_weights_of_a_ramp_and_of_a_level() -> None:
    plan = compiled(**HPFF)
    decoders = [h.weight for unit in plan.units for h in unit.heads if h.name == "decoder"]
    assert decoders == [0.75 * 2.0, 0.75 * 0.5]
    assert {h.weight for unit in plan.units if unit.level == "independent" for h in unit.heads} == {0.25}


def test_the_backbone_has_the_same_parameters_in_every_method() -> None:
    def shapes(plan: Plan) -> Document:
        return {name: s for net in plan.networks.values() if not net.prefix for name, s in net.parameters.items()}

    assert shapes(compiled(**MAN | HPFF)) == shapes(compiled(split={"blocks": 1}))


def test_a_link_copies_the_first_layer_of_the_next_block() -> None:
    link = compiled(**MAN).units[0].links[0]
    assert link.sources["unit0.independent.ema.conv1.weight"] == "stage1.1.conv1.weight"
    assert link.source_block == "block1"


def test_zero_weight_heads_are_not_built() -> None:
    ramp = {"classifier": {}, "reconstruction": {"weight": {"first": 1.0, "last": 0.0}}}
    removed, kept = (compiled(auxiliary=ramp, train={"zero_weight_heads": what}) for what in ("remove", "keep"))
    assert "unit2.independent.decoder" not in removed.networks
    assert kept.networks.keys() - removed.networks.keys() == {"unit2.independent.decoder"}


# ---------------------------------------------------------------------------------------------- order


def test_a_unit_is_done_before_the_next_block_begins() -> None:
    plan = compiled(**MAN)
    for k in range(3):
        forward = position(plan, f"forward block{k + 1}")
        assert position(plan, f"backward block{k} to block{k}") < forward
        assert position(plan, f"step block{k}") < forward
        assert position(plan, f"step unit{k}.independent.bias") < forward


def test_blocks_run_once_and_a_window_stays_alive() -> None:
    plan = compiled(**HPFF)
    assert [i.block for i in plan.instructions if i.kind == "forward"] == [0, 1, 2, 3]
    alive: set[str] = set()
    most = 0
    for instruction in plan.instructions:
        if isinstance(instruction, Forward):
            alive.add(f"graph{instruction.block}")
        if isinstance(instruction, Free):
            alive -= set(instruction.values)
        most = max(most, len(alive))
    assert most == 2


def test_gradient_passes_a_block_once_a_window() -> None:
    backwards = [(i.block, i.start) for i in compiled(**HPFF).instructions if i.kind == "backward"]
    assert sorted(backwards) == [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)]


def test_the_timeline_covers_every_instruction() -> None:
    plan = compiled(**MAN | HPFF)
    assert [moment.instruction for moment in plan.memory.timeline] == list(range(len(plan.instructions)))
    assert all(sum(moment.categories.values()) == moment.bytes for moment in plan.memory.timeline)
    assert max(moment.bytes for moment in plan.memory.timeline) == plan.memory.peak_bytes


# ---------------------------------------------------------------------------------------------- as a document


@pytest.mark.parametrize("path", REPRESENTATIVES, ids=lambda path: path.stem)
def test_shipped_plans_survive_json(path: Path) -> None:
    plan = plan_of(path)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.fingerprint == plan.fingerprint


@given(documents())
@settings(max_examples=40)
def test_any_plan_survives_json(drawn: Document) -> None:
    plan = specc.compile(spec_of(drawn))
    assert Plan.from_json(plan.to_json(indent=1)) == plan
    assert specc.compile(spec_of(drawn)) == plan, "the same spec twice"


def test_a_plan_of_another_version_is_refused() -> None:
    text = compiled().to_json().replace(f'"format_version": {FORMAT_VERSION}', '"format_version": 99', 1)
    with pytest.raises(ValueError, match="format version 99"):
        Plan.from_json(text)


COSMETIC: dict[str, Document] = {
    "name": {"name": "other"},
    "description": {"description": "words"},
    "root": {"data": document()["data"] | {"root": "/elsewhere"}},
}
NUMERIC: dict[str, Document] = {
    "seed": {"train": {"seed": 1}},
    "lr": {"train": {"optimizer": {"name": "sgd", "lr": 0.2}}},
    "cut": {"split": {"after": ["stem", "stage2.0", "stage3.0"]}},
    "momentum": {"ema_links": [{"from": "next", "momentum": 0.5}]},
    "batch": {"data": document()["data"] | {"batch_size": 5}},
}


@pytest.mark.parametrize("parts", COSMETIC.values(), ids=COSMETIC)
def test_the_fingerprint_ignores_names(parts: Document) -> None:
    assert compiled(**parts).fingerprint == compiled().fingerprint


@pytest.mark.parametrize("parts", NUMERIC.values(), ids=NUMERIC)
def test_the_fingerprint_knows_every_number(parts: Document) -> None:
    assert compiled(**parts).fingerprint != compiled().fingerprint


# ---------------------------------------------------------------------------------------------- budget and mistakes


def test_a_budget_is_an_error_or_a_warning() -> None:
    assert errors(budget={"memory": "10 KB"}) == ["SPC501"]
    plan = compiled(budget={"memory": "10 KB", "on_exceed": "warn"})
    assert plan.memory.peak_bytes > 10_000
    assert compiled(budget={"memory": plan.memory.peak_bytes}).memory == plan.memory, "just enough is enough"
    assert errors(budget={"memory": plan.memory.peak_bytes - 1}) == ["SPC501"]


WRONG: dict[str, tuple[str, Document]] = {
    "unknown layer": ("SPC201", {"split": {"after": ["stage9.0"]}}),
    "cut twice": ("SPC403", {"split": {"after": ["stem", "stem"]}}),
    "out of order": ("SPC404", {"split": {"after": ["stage2.0", "stem"]}}),
    "too many blocks": ("SPC402", {"split": {"blocks": 99}}),
    "wide window": ("SPC405", {"levels": [{"name": "wide", "window": 5}]}),
    "no such unit": ("SPC406", {"levels": [{"name": "wide", "window": 2, "skip": [0]}]}),
    "untrained block": ("SPC414", {"levels": [{"name": "only", "skip": [1]}]}),
    "patches": ("SPC417", {"auxiliary": {"reconstruction": {"patches": {"grid": [5, 5]}}}}),
    "list of weights": ("SPC411", {"auxiliary": {"classifier": {"weight": [1.0]}}}),
    "shape of a link": ("SPC422", {"ema_links": [{"from": "stage3.1"}]}),
}


@pytest.mark.parametrize(("code", "parts"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_compiled_is_a_diagnostic(code: str, parts: Document) -> None:
    assert set(errors(**parts)) == {code}


def test_instructions_read_like_sentences() -> None:
    backward = Backward(block=2, start=1, graph="graph2", cotangent="grad2to1", trains=("block2",))
    assert str(backward) == "backward block2 to block1"
    head = Head(unit="unit0.independent", head="decoder", source="x1", target="images", trains=(), gradient="grad0to0")
    assert str(head) == "head unit0.independent.decoder"
    assert str(replace(head, slice=3)) == "head unit0.independent.decoder of slice 3"
    assert str(Free(values=("x1", "graph0"))) == "free x1 graph0"
