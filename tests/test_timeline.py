"""The memory of a step as a picture and as a chart: everything that is predicted is in it, and nothing overlaps."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.console import Console

from specc.cli import main
from specc.compiler.variants import end_to_end
from specc.language.schema import show_bytes
from specc.pictures.chart import chart
from specc.pictures.drawing import Picture, to_inline, to_svg
from specc.pictures.palette import CATEGORIES, WARN
from specc.pictures.placing import Box, byte_ticks, every, shelf, shortened, spread
from specc.pictures.timeline import memory_timeline
from specc.plan import Plan
from specc.views.timeline import timeline, told

from .commands import specc
from .documents import HPFF, MAN, compiled, document

WIDTHS = (340, 720)
PLANS: dict[str, dict[str, Any]] = {
    "local": MAN | HPFF | {"budget": {"memory": "1 MiB"}},
    "sliced": {"train": {"micro_batches": 3}, "schedule": {"order": "slices"}},
    "whole": {"split": {"blocks": 1}, "budget": {"memory": "150 KiB"}},
}


@pytest.fixture(scope="module", params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return compiled(**PLANS[request.param])


@pytest.fixture(scope="module")
def local() -> Plan:
    return compiled(**PLANS["local"])


def texts(picture: Picture) -> list[str]:
    root = ElementTree.fromstring(to_svg(picture).encode())
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("width", WIDTHS)
def test_texts_are_inside_and_do_not_overlap(plan: Plan, width: int) -> None:
    picture = memory_timeline(plan, end_to_end(plan), width)
    to_svg(picture)
    found: list[tuple[str, Any]] = []
    for axes in picture.figure.axes:
        ticks = [t for t in axes.get_yticklabels() if axes.axison]
        found += [(t.get_text(), t.get_window_extent()) for t in (*axes.texts, *ticks) if t.get_text().strip()]
    bounds = picture.figure.bbox
    for text, box in found:
        assert bounds.x0 <= box.x0 + 0.5, text
        assert box.x1 <= bounds.x1 + 0.5, text
        assert bounds.y0 <= box.y0 + 0.5, text
        assert box.y1 <= bounds.y1 + 0.5, text
    crossing = [(a, b) for i, (a, one) in enumerate(found) for b, other in found[i + 1 :]
                if one.padded(-1.5).overlaps(other.padded(-1.5))]  # fmt: skip
    assert crossing == []


def test_it_says_what_peaks_where_and_how_much_is_allowed(local: Plan) -> None:
    whole = end_to_end(local)
    assert whole is not None
    found = texts(memory_timeline(local, whole))
    peak = timeline(local)
    assert f"peak {show_bytes(local.memory.peak_bytes)}" in found
    assert f"in {peak.instruction(peak.peak)}" in found
    assert f"local learning {show_bytes(local.memory.peak_bytes)}" in found
    assert f"end-to-end training {show_bytes(whole.memory.peak_bytes)}" in found
    assert any(text.startswith("budget 1 MiB") for text in found)
    assert {"activations", "parameters"} <= set(found)
    assert "block" in found
    assert {"0", "1", "2", "3"} <= set(found)
    said = told(peak, timeline(whole))
    for part in (show_bytes(local.memory.peak_bytes), show_bytes(whole.memory.peak_bytes), "1 MiB", "activations"):
        assert part in said
    assert memory_timeline(local, whole).summary == said


def test_a_budget_on_the_scale_is_a_line_and_another_one_a_word(local: Plan) -> None:
    near = local.memory.peak_bytes * 5 // 4
    config = local.config.model_copy(update={"budget": local.config.budget.model_copy(update={"memory": near})})
    assert "stroke-dasharray" in to_svg(memory_timeline(replace(local, config=config)))
    assert f"budget {show_bytes(near)}" in texts(memory_timeline(replace(local, config=config)))
    assert "stroke-dasharray" not in to_svg(memory_timeline(local))
    assert "budget 1 MiB is above this scale" in texts(memory_timeline(local))


def test_every_block_tells_its_own_peak_when_it_is_pointed_at(local: Plan) -> None:
    picture, found = memory_timeline(local), timeline(local)
    assert len(picture.tips) == len(found.spans) == 4
    for number, (span, tip) in enumerate(zip(found.spans, picture.tips.values(), strict=True)):
        highest = max(found.instants[i].bytes for i in range(span.first, span.last + 1))
        assert tip.startswith(f"block {number}: {show_bytes(highest)} in ")
    assert all(f"<title>{tip}</title>" in to_inline(picture) for tip in picture.tips.values())


def test_the_parts_add_up_to_the_peak_in_the_area_that_is_drawn(local: Plan) -> None:
    axes = memory_timeline(local, width=340).figure.axes[0]
    highest = [max(y for _, y in patch.get_xy()) for patch in axes.patches if len(patch.get_xy()) > 10]
    assert max(highest) == local.memory.peak_bytes
    assert highest == sorted(highest, reverse=True), "what is painted later lies lower"


def test_spans_are_all_of_the_step(plan: Plan) -> None:
    found = timeline(plan)
    assert found.spans[0].first == 0
    assert found.spans[-1].last == len(found.instants) - 1
    assert all(one.last + 1 == other.first for one, other in pairwise(found.spans))


def test_a_sample_keeps_the_peak_and_the_order(plan: Plan) -> None:
    found = timeline(plan)
    for most in (7, 50, 10_000):
        sampled = found.sampled(most)
        places = [place for place, _ in sampled]
        assert len(sampled) <= most
        assert places == sorted(places)
        assert 0 < places[0] < places[-1] < 1
        assert max(instant.bytes for _, instant in sampled) == plan.memory.peak_bytes


def test_a_plan_that_was_predicted_otherwise_is_shown_as_it_says(local: Plan) -> None:
    moments = tuple(replace(moment, bytes=moment.bytes + 8) for moment in local.memory.timeline)
    memory = replace(local.memory, peak_bytes=local.memory.peak_bytes + 8, timeline=moments)
    found = timeline(replace(local, memory=memory))
    assert found.highest.bytes == memory.peak_bytes
    assert len(found.instants) == len(local.instructions)


# --------------------------------------------------------------------------------------------- the terminal


def lines(plan: Plan, width: int) -> list[str]:
    other = end_to_end(plan)
    console = Console(width=width, no_color=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    with console.capture() as caught:
        console.print(chart(timeline(plan), timeline(other) if other else None, width), soft_wrap=True)
    console.file.close()
    return caught.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_chart_is_as_wide_as_the_terminal_and_pads_nothing(plan: Plan, width: int) -> None:
    found = lines(plan, width)
    assert max(map(len, found)) <= width
    assert max(line.count("█") for line in found) > width / 2
    assert all(line == line.rstrip() for line in found[:14])
    assert any(line.startswith(f"peak {show_bytes(plan.memory.peak_bytes)}") for line in found)


def test_a_chart_of_local_learning_has_end_to_end_training_over_it_and_the_budget(local: Plan) -> None:
    found = lines(local, 80)
    assert sum("·" in line for line in found[:14]) >= 2
    whole = end_to_end(local)
    assert whole is not None
    assert any(line.startswith(f"· end-to-end training {show_bytes(whole.memory.peak_bytes)}") for line in found)
    assert found[-1] == "─ budget 1 MiB, above this chart"
    assert found[14].split() == ["0", "1", "2", "3"]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(document()), encoding="utf-8")
    return path


def test_away_from_a_terminal_there_is_a_row_an_instruction(spec: Path, tmp_path: Path) -> None:
    done = specc("plan", spec, "--timeline", cwd=tmp_path)
    rows = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    instructions = json.loads(specc("plan", spec, "--format", "json", cwd=tmp_path).stdout)["timeline"]
    own = [row for row in rows if any("activations=" in field for field in row)]
    assert [(row[0], int(row[1])) for row in own] == [(i["instruction"], i["bytes"]) for i in instructions]


def test_a_terminal_gets_the_chart(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specc.commands.timelines.console", lambda stderr: Console(force_terminal=True, width=60))
    done = CliRunner().invoke(main, ["plan", str(spec), "--timeline"])
    assert "███" in done.stdout
    assert "· end-to-end training" in done.stdout


def test_a_file_is_written_and_no_other_one_unasked(spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "memory.svg"
    done = specc("plan", spec, "--timeline", target, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"wrote {target}\n")
    assert ElementTree.parse(target).getroot().get("width") == "720pt"
    assert specc("plan", spec, "--timeline", target, cwd=tmp_path).returncode == 2
    assert specc("plan", spec, "--timeline", target, "--force", cwd=tmp_path).returncode == 0


def test_a_spec_is_no_file_to_draw_into_and_json_has_the_timeline_anyway(spec: Path, tmp_path: Path) -> None:
    before = spec.read_text(encoding="utf-8")
    swapped = specc("plan", "--timeline", spec, cwd=tmp_path)
    assert (swapped.returncode, spec.read_text(encoding="utf-8")) == (2, before)
    assert "to draw here, give it last" in swapped.stderr
    both = specc("plan", spec, "--format", "json", "--timeline", cwd=tmp_path)
    assert both.returncode == 2
    assert "carries `timeline` anyway" in both.stderr


# --------------------------------------------------------------------------------------------- where things go


def test_sizes_on_an_axis_are_round_and_of_one_unit() -> None:
    for most in (1, 900, 1023, 5000, 3.3 * 2**20, 2**30, 1.7 * 2**30, 700 * 2**30, 5 * 2**40):
        ticks = byte_ticks(most)
        assert 2 <= len(ticks) <= 6
        assert ticks[-1][0] <= most
        assert len({text.split()[1] for _, text in ticks[1:]}) == 1
        assert all(re.fullmatch(r"\d{1,4}|\d\.\d", text.split()[0]) for _, text in ticks[1:])


def test_labels_keep_apart_and_in_order_inside_of_their_bounds() -> None:
    assert spread([50, 10, 11], 6, 0, 100) == [50, 7.5, 13.5]
    crowded = spread([99, 99, 99, 98, 0], 10, 0, 100)
    assert sorted(crowded) == [0, 70, 80, 90, 100]
    assert crowded[3] == 70


def test_a_label_lies_above_the_line_and_beside_what_is_taken() -> None:
    hill = [(x, 100 - abs(x - 50)) for x in range(101)]
    box = shelf(hill, 20, 10, (0, 100))
    assert (box.left, box.bottom) == (80, 72)
    other = shelf(hill, 20, 10, (0, 100), [box])
    assert not other.meets(box)
    assert other.bottom == 72
    assert shelf(hill, 20, 10, (40, 60)).bottom == 100
    assert shelf(hill, 20, 10, (40, 60), [Box(0, 95, 100, 120)]).bottom == 120


def test_numbers_below_an_axis_are_left_out_evenly() -> None:
    tight = [(i * 8.0, i * 8.0 + 8, str(i)) for i in range(60)]
    assert every(tight, 10) in (2, 5)
    assert every([(i * 40.0, i * 40.0 + 40, str(i)) for i in range(9)], 10) == 1


def test_what_is_too_long_keeps_both_its_ends() -> None:
    assert shortened("head unit1.cascade.decoder", 10, 500) == "head unit1.cascade.decoder"
    assert re.fullmatch(r"he.*….*er", shortened("head unit1.cascade.decoder", 10, 60))


def test_the_line_of_the_budget_has_the_colour_of_limits(local: Plan) -> None:
    assert WARN.variable in to_inline(memory_timeline(local))
    used = {name for moment in local.memory.timeline for name in moment.categories}
    assert used <= set(CATEGORIES)
