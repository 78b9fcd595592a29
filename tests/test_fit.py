"""The search for splits: against every split there is, in the spec itself, and on the command line."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import specc
from specc.checking import check_text
from specc.cli import main
from specc.compiler.draft import Draft
from specc.compiler.variants import predicted_peak
from specc.diagnostics import Diagnostic
from specc.diagnostics.notices import watched
from specc.fit.block_costs import START, BlockCosts
from specc.fit.search import LOSSES, WORTH, decide, search
from specc.fit.search import Result as Found
from specc.fit.splits import Row, Splits
from specc.pipeline import CHECKS, run_passes
from specc.plan import Plan
from specc.spec.dump import derive, dump, plain
from specc.spec.load import Spec, loads, read_spec
from specc.spec.sections.auxiliary import Auxiliary
from specc.spec.sections.split import Fit
from tests.parts import partly
from tests.watching import Diary

Document = dict[str, Any]

DATA = {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 8}
BASE: Document = {
    "specc": 1,
    "name": "fit",
    "data": DATA,
    "backbone": {"family": "resnet_cifar", "depth": 26, "widths": [8, 8, 16, 32]},
    "split": {"blocks": 3},
    "auxiliary": {"classifier": {"hidden": 16}, "reconstruction": {}},
}
LEVELS = [{"name": "independent"}, {"name": "cascade", "window": 2}]
HPFF = [{"name": "independent", "skip": [0]}, {"name": "cascade", "window": 2}]
LINKS = {"ema_links": [{"from": "next"}]}
CONV = {"op": "conv_bn_relu", "out": 8}
LAYERS: Document = {"backbone": {"layers": [
    {"name": "a", **CONV}, {"name": "b", "op": "relu"}, {"name": "c", **CONV}, {"name": "d", "op": "max_pool"},
    {"name": "f", "op": "conv", "out": 16}, {"name": "g", "op": "relu"},
    {"name": "h", "op": "conv", "out": 16}, {"name": "i", "op": "batch_norm"}, {"name": "j", "op": "relu"},
    {"name": "k", "op": "max_pool"}, {"name": "l", **CONV}, {"name": "m", "op": "sigmoid"}, {"name": "n", **CONV},
    {"name": "mean", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 10},
]}}  # fmt: skip
CASES: dict[str, Document] = {
    "independent": {},
    "links": LINKS,
    "links of two layers": {"ema_links": [{"from": "next", "layers": 2, "bias": "none"}]},
    "recompute": {"train": {"recompute": True}},
    "windows of two": {"levels": LEVELS[1:]},
    "two levels, one unit skipped": {"levels": HPFF},
    "two levels and links": {"levels": LEVELS, **LINKS},
    "two levels, links of two layers": {"levels": LEVELS, "ema_links": [{"from": "next", "layers": 2}]},
    "two levels, recompute": {"levels": LEVELS, "train": {"recompute": True}},
    "two levels, patches, bf16, adamw": {
        "levels": LEVELS,
        "auxiliary": {"classifier": {}, "reconstruction": {"patches": {"execution": "sequential"}}},
        "train": {"precision": "bf16", "optimizer": {"name": "adamw"}},
    },
    "layers, independent": LAYERS,
    "layers, two levels": LAYERS | {"levels": LEVELS},
}


def spec_of(**changes: Any) -> Spec:
    return loads(json.dumps(BASE | changes), "fit")


def rows_of(spec: Spec) -> tuple[Row, ...]:
    splits = Splits(run_passes(spec, CHECKS), spec.config)
    return tuple(row for blocks in splits.numbers if (row := splits.best(blocks)) is not None)


@pytest.mark.parametrize("case", partly(CASES, ("two levels, recompute", "two levels, links of two layers")))
def test_the_best_of_all_splits(case: str) -> None:
    hold_against_all(CASES[case], 14)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_the_best_of_thousands_of_splits(case: str) -> None:
    hold_against_all(CASES[case], 26)


def hold_against_all(changes: Document, depth: int) -> None:
    """Every subset of the legal cuts, by blocks that are each simulated on their own."""
    spec = spec_of(**{"backbone": BASE["backbone"] | {"depth": depth}} | changes)
    draft = run_passes(spec, CHECKS)
    costs = BlockCosts(draft, spec.config)
    assert 6 <= len(costs.legal) <= 14
    rows = {row.blocks: row for row in rows_of(spec)}
    for count in range(len(costs.legal) + 1):
        peaks = [peak for cuts in combinations(costs.legal, count) if (peak := peak_of(costs, cuts)) is not None]
        assert (count + 1 in rows) == bool(peaks)
        if peaks:
            row = rows[count + 1]
            assert row.predicted_peak_bytes == pytest.approx(min(peaks), abs=64), row
            cuts = tuple(draft.graph.index[name] for name in row.after)
            assert row.predicted_peak_bytes == pytest.approx(peak_of(costs, cuts), abs=64), row


def peak_of(costs: BlockCosts, cuts: tuple[int, ...]) -> int | None:
    """The peak of one split; a single block is no window of two, and a block with nothing to train is none at all."""
    ends, count = (START, *cuts, costs.end), len(cuts) + 1
    trained = [any(n.parameters for layer in costs.graph.layers[a + 1 : b + 1] for n in layer.nodes)
               for a, b in pairwise(ends)]  # fmt: skip
    if len(ends) <= costs.window or not all(trained):
        return None
    parts = [costs.measure(ends[max(0, i - costs.window) : i + 1], i - 1, count) for i in range(1, len(ends))]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return costs.base() + sum(part.auxiliary for part in known) + max(part.local for part in known)


# ---------------------------------------------------------------------------------------------- in a spec

FITTED = """specc: 1
name: fitted
data: {dataset: digits, batch_size: 256}
backbone: {family: resnet_cifar, depth: 8}
split: {fit: %s}
levels: [{name: a}, {name: b, window: 2}]
budget: {memory: %s}
"""


def fitted(budget: object, fit: str = "{}") -> Plan:
    return specc.compile(loads(FITTED % (fit, budget), "fitted.yaml"))


def wrong(budget: object, fit: str = "{}") -> Diagnostic:
    (found,) = check_text(FITTED % (fit, budget), "fitted.yaml").diagnostics
    return found


@cache
def peaks() -> dict[int, int]:
    """The lowest peak of every number of blocks."""
    spec = loads(FITTED.replace("{fit: %s}", "{blocks: 2}") % "1 GiB")
    return {row.blocks: row.predicted_peak_bytes for row in rows_of(spec)}


def test_the_fewest_blocks_that_fit_are_taken() -> None:
    lowest = peaks()
    for blocks, peak in lowest.items():
        plan = fitted(peak + 64)
        assert len(plan.blocks) == min(n for n, other in lowest.items() if other <= peak)
        assert plan.memory.peak_bytes <= peak + 64
        assert len(fitted(1 << 30, f"{{min_blocks: {blocks}, max_blocks: {blocks}}}").blocks) == blocks


def test_the_result_is_the_split_that_it_stands_for() -> None:
    plan = fitted(min(peaks().values()) + 64)
    split = plan.config.split
    assert (split.fit, split.blocks) == (None, None)
    assert split.after
    again = specc.compile(loads((FITTED % ("{}", plan.config.budget.memory)).replace(
        "{fit: {}}", f"{{after: [{', '.join(split.after)}]}}")))  # fmt: skip
    assert again.fingerprint == plan.fingerprint
    assert loads(dump(plan.config)).config == plan.config


def test_no_more_knobs_than_needed_are_turned() -> None:
    floor = min(peaks().values())
    assert fitted(floor + 64, "{allow: [recompute, precision]}").config.train.recompute is False
    for knob, turned in ("recompute", {"recompute": True}), ("precision", {"precision": "bf16"}):
        plan = fitted(floor - 4096, f"{{allow: [{knob}]}}")
        assert turned.items() <= plan.config.train.model_dump().items()
        assert plan.memory.peak_bytes <= floor - 4096
    assert fitted(floor - 4096, "{allow: [batch_size]}").config.data.batch_size == 128


def test_where_nothing_fits_the_floor_is_told() -> None:
    floor = min(peaks().values())
    found = wrong(floor - 4096)
    assert found.code == "SPC505"
    assert found.span is not None
    assert found.span.line == 7
    assert "the lowest peak has" in found.help[0]
    assert "the peak is at `" in found.help[1]
    assert "`train.recompute: true` peaks at" in found.help[2]


def test_a_warning_takes_the_lowest_peak() -> None:
    lowest = peaks()
    text = FITTED % ("{}", "1 MiB, on_exceed: warn")
    assert [d.code for d in check_text(text).diagnostics] == ["SPC501"]
    plan = specc.compile(loads(text))
    assert lowest[len(plan.blocks)] == min(lowest.values())


def test_who_turns_the_budget_off_needs_another_split() -> None:
    assert [d.code for d in check_text(FITTED % ("{}", "1 GiB"), "f", ["budget=null"]).diagnostics] == ["SPC504"]
    assert check_text(FITTED % ("{}", "1 GiB"), "f", ["budget=null", "split={blocks: 3}"]).diagnostics == ()


# ---------------------------------------------------------------------------------------------- the command line


BLOCKS = ("--for", "blocks", "--allow")


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "fitted.yaml"
    path.write_text(FITTED % ("{}", min(peaks().values()) + 64))
    return path


def test_every_command_takes_a_spec_with_fit(spec: Path) -> None:
    assert invoke("validate", spec).exit_code == 0
    document = json.loads(invoke("plan", spec, "--format", "json").stdout)
    assert document["memory"]["predicted_peak_bytes"] <= document["memory"]["budget_bytes"]
    assert "split: {after: [" in invoke("plan", spec).stdout
    assert "stage3.0" in invoke("graph", spec).stdout
    assert invoke("compare", spec, spec).exit_code == 0
    assert invoke("fit", spec, "--format", "json").exit_code == 0


def test_a_run_is_resumed_with_the_split_that_it_began_with(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ran = invoke("run", spec, "--device", "cpu", "--run-dir", folder)
    assert ran.exit_code == 0, ran.output
    resolved = loads((folder / "spec.resolved.yaml").read_text()).config
    plan = Plan.from_json((folder / "plan.json").read_text())
    assert resolved == plan.config
    assert resolved.split.after == [block.layers[-1] for block in plan.blocks[:-1]]
    assert json.loads((folder / "summary.json").read_text())["plan_fingerprint"] == plan.fingerprint
    assert specc.compile(folder / "spec.resolved.yaml").fingerprint == plan.fingerprint
    before = (folder / "plan.json").read_bytes()
    assert invoke("resume", folder, "--device", "cpu").exit_code == 0
    assert (folder / "plan.json").read_bytes() == before


def test_fit_lists_every_number_of_blocks(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    limit = 2 * min(peaks().values())
    result = invoke("fit", spec, "--budget", limit, *BLOCKS, "split,recompute", "--write", out, "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    rows = document["rows"]
    assert {(row["blocks"], *row["knobs"]) for row in rows} == {
        (blocks, *knobs) for blocks in peaks() for knobs in ((), ("train.recompute: true",))
    }
    for row in rows:
        better = [other for other in rows if other is not row
                  and other["predicted_peak_bytes"] <= row["predicted_peak_bytes"]
                  and other["relative_flops"] <= row["relative_flops"]]  # fmt: skip
        assert row["pareto"] == (not better), row
        assert row["fits"] == (row["predicted_peak_bytes"] <= limit)
        assert row["relative_flops"] > 1
    assert document["considered_cuts"] == document["legal_cuts"]
    assert specc.compile(out).memory.peak_bytes == pytest.approx(document["chosen"]["predicted_peak_bytes"], abs=64)


def test_fit_tells_the_floor(spec: Path) -> None:
    result = invoke("fit", spec, "--budget", "1MiB")
    assert result.exit_code == 1
    assert "nothing fits into 1 MiB: the floor is " in result.output


def test_lists_of_weights_are_spoken_of_before_the_search(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    lists = "auxiliary={classifier: {weight: [0.5, 0.4, 0.3]}}"
    words = ("fit", spec, "split={blocks: 2}", "levels=[{name: a}]", lists, *BLOCKS, "split")
    result = invoke(*words, "--budget", "1GiB", "--format", "json", "--write", out)
    assert result.exit_code == 0, result.output
    assert "warning[SPC506]: `classifier.weight` lists 3 numbers, one a unit: only splits into 4 blocks are tried" in (
        result.stderr
    )
    assert {row["blocks"] for row in json.loads(result.stdout)["rows"]} == {1, 4}
    assert len(specc.compile(out).blocks) == 1


def test_the_spec_need_not_have_a_split_that_its_windows_fit_into(spec: Path) -> None:
    result = invoke("fit", spec, "split={blocks: 1}", "--budget", "1GiB", "--format", "json", "--for", "blocks")
    assert result.exit_code == 0, result.output
    assert min(row["blocks"] for row in json.loads(result.stdout)["rows"]) == 2


def test_what_may_not_change_stays(spec: Path) -> None:
    words = ("fit", spec, "split={after: [stem, stage2.0]}", "--budget", "1GiB", "--format", "json")
    document = json.loads(invoke(*words, *BLOCKS, "recompute").stdout)
    assert [row["after"] for row in document["rows"]] == [["stem", "stage2.0"]] * 2
    assert [row["knobs"] for row in document["rows"]] == [[], ["train.recompute: true"]]


# ---------------------------------------------------------------------------------------------- --write


CHILD = """extends: fitted.yaml
name: child
train: {epochs: 3}
split: {blocks: 4}
budget: {memory: 1 GiB}
"""


@pytest.fixture
def child(spec: Path) -> Path:
    path = spec.with_name("child.yaml")
    path.write_text(CHILD)
    return path


def test_what_is_written_says_what_it_has_differently(child: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    out = tmp_path / "deep" / "smaller one.yaml"
    limit = 2 * min(peaks().values())
    words = ("fit", child, "data.batch_size=128", "--budget", limit, *BLOCKS, "split,recompute", "--write", out)
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert text.startswith("extends: ../child.yaml\nname: child_2_blocks\ndata: {batch_size: 128}\nsplit:")
    assert "epochs" not in text
    config = loads_file(out).config
    assert (config.name, config.train.epochs, config.data.batch_size) == ("child_2_blocks", 3, 128)
    assert config.budget is not None
    assert config.budget.memory == limit
    assert specc.compile(out).memory.peak_bytes <= limit


def loads_file(path: Path) -> Spec:
    found = read_spec(path).spec
    assert found is not None
    return found


def test_differences_that_cannot_be_said_are_written_out(child: Path, tmp_path: Path) -> None:
    """A list is replaced as a whole, and a default written out in one would override something."""
    config = loads_file(child).config
    levels = [config.levels[0].model_copy(update={"auxiliary": Auxiliary(classifier=None)}), *config.levels[1:]]
    text = derive(config.model_copy(update={"levels": levels}), child, tmp_path / "other.yaml")
    (tmp_path / "other.yaml").write_text(text)
    assert plain(loads_file(tmp_path / "other.yaml").config)["levels"][0]["auxiliary"] == {"classifier": None}


def test_a_spec_is_not_written_over(child: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("mine")
    for target, said in (child, "is the spec itself"), (other, "--force to replace it"):
        before = target.read_text()
        result = invoke("fit", child, "--write", target)
        assert (result.exit_code, target.read_text()) == (2, before)
        assert said in " ".join(result.output.split())
    assert invoke("fit", child, "--write", child, "--force").exit_code == 2
    assert child.read_text() == CHILD
    assert invoke("fit", child, "--write", other, "--force").exit_code == 0
    assert other.read_text() != "mine"


@pytest.mark.parametrize("size", ["1G", "1g", "1 Gb/s", "much"])
def test_a_size_without_its_unit_names_the_units(spec: Path, size: str) -> None:
    for result in (invoke("fit", spec, "--budget", size), invoke("validate", spec, f"budget.memory={size}")):
        said = " ".join(result.output.replace("│", " ").split())
        assert f"`{size}` is not a memory size: the units are B, KiB, KB, MiB, MB, GiB, GB, TiB, TB" in said
        assert ("did you mean `1 GiB` or `1 GB`?" in said) == (size in ("1G", "1g"))


# ---------------------------------------------------------------------------------------------- long chains


LONG = spec_of(backbone={"family": "resnet_cifar", "depth": 74, "widths": [4, 4, 8, 16]})
ENOUGH = 1 << 40


@cache
def long_chain() -> tuple[Draft, Found]:
    draft = run_passes(LONG, CHECKS)
    return draft, search(draft, ENOUGH)


@cache
def longs() -> tuple[Row, ...]:
    """The best split of the long chain into every number of blocks."""
    return rows_of(LONG)


def lasting(worth: float) -> list[int]:
    """The numbers of blocks that bring the peak down to this part of the last one's, and the one with the lowest."""
    found: list[Row] = []
    for row in longs():
        if not found or row.predicted_peak_bytes <= worth * found[-1].predicted_peak_bytes:
            found.append(row)
    floor = min(longs(), key=lambda row: row.predicted_peak_bytes)
    return sorted({row.blocks for row in [*found, floor]})


def test_a_long_chain_has_rows_only_where_more_blocks_help() -> None:
    _, result = long_chain()
    assert (result.considered, result.legal) == (37, 37)
    assert result.exact
    assert not result.complete
    found = [option.row.predicted_peak_bytes for option in result.options]
    assert len(found) > 5
    assert all(b <= WORTH * a for a, b in pairwise(found[:-1]))
    assert min(found) == found[-1]
    assert [option.row.blocks for option in result.options] == lasting(WORTH)


def test_the_lowest_peak_is_a_row_however_little_it_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specc.fit.search.WORTH", 0.5)
    found = [option.row.blocks for option in search(long_chain()[0], ENOUGH).options]
    assert found == lasting(0.5)
    assert len(found) == 3


def test_a_split_that_fits_is_a_row_however_little_it_saves() -> None:
    blocks = min({row.blocks for row in longs()} - set(lasting(WORTH)))
    before, spare = (row.predicted_peak_bytes for row in longs()[blocks - 2 : blocks])
    assert WORTH * before < spare < before
    result = search(long_chain()[0], spare + LOSSES * blocks, within=Fit(max_blocks=blocks + 2))
    assert result.chosen is not None
    assert result.chosen.row.blocks == blocks


def test_rows_are_what_their_specs_come_to() -> None:
    draft, result = long_chain()
    for option in result.options:
        assert option.row.predicted_peak_bytes == predicted_peak(draft, option.config)


def test_what_fits_does_so_as_a_whole_plan() -> None:
    """The search leaves out the losses, a few bytes a block: a budget in between is one that the split does not fit."""
    draft, result = long_chain()
    blocks, whole = result.options[-1].row.blocks, result.options[-1].row.predicted_peak_bytes
    row = Splits(draft, LONG.config).best(blocks)
    assert row is not None
    assert row.predicted_peak_bytes < whole
    only = Fit(min_blocks=blocks, max_blocks=blocks)
    assert decide(draft, whole - 1, only).chosen is None
    assert decide(draft, whole, only).chosen is not None
    assert search(draft, whole - 1, within=only).chosen is None


def test_who_waits_is_told_what_for() -> None:
    with watched(diary := Diary()):
        search(run_passes(spec_of(), CHECKS), ENOUGH)
    search(run_passes(spec_of(), CHECKS), ENOUGH)
    assert any("blocks measured" in line for line in diary.told)
    assert any("looking for the best split into 3 blocks" in line for line in diary.told)
