"""The block diagram, in every way that it is written: all blocks, cuts, heads, links and windows, none overlapping."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pydot
import pytest

from specc.pictures.blocks import block_diagram
from specc.pictures.diagram import Diagram, diagram
from specc.pictures.drawing import Picture, to_inline, to_svg
from specc.pictures.graph_text import to_dot, to_mermaid
from specc.pictures.page import page
from specc.plan import Plan

from .commands import specc
from .documents import HPFF, MAN, compiled, document

LONG = {
    "backbone": {"layers": [
        {"name": f"layer_{i}_with_a_long_name", "op": "conv", "out": 1024, "k": 1} for i in range(24)
    ] + [{"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4}]},
    "split": {"after": [f"layer_{i}_with_a_long_name" for i in range(23)]},
}  # fmt: skip
PLANS: dict[str, dict[str, Any]] = {
    "both": MAN | HPFF,
    "all": {
        "levels": [{"name": "one", "window": 1}, {"name": "every", "window": "all"}],
        "auxiliary": {"classifier": {}},
    },
    "whole": {"split": {"blocks": 1}},
    "long": LONG,
    "opened": LONG | {"split": {"blocks": 2}, "data": document()["data"] | {"image_size": 128}},
}


@pytest.fixture(scope="module", params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return compiled(**PLANS[request.param])


@pytest.fixture(scope="module")
def both() -> Plan:
    return compiled(**PLANS["both"])


@pytest.fixture(scope="module")
def shown(both: Plan) -> Diagram:
    return diagram(both)


def texts(picture: Picture) -> list[str]:
    root = ElementTree.fromstring(to_svg(picture).encode())
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("layers", [False, True], ids=["blocks", "layers"])
@pytest.mark.parametrize("width", [340, 720])
def test_texts_are_inside_and_do_not_overlap(plan: Plan, width: int, layers: bool) -> None:
    picture = block_diagram(plan, width, layers=layers)
    to_svg(picture)
    (axes,) = picture.figure.axes
    found = [(t.get_text(), t.get_window_extent()) for t in axes.texts if t.get_text()]
    right, top = picture.figure.bbox.x1, picture.figure.bbox.y1
    outside = [text for text, box in found if min(box.x0, box.y0, right - box.x1, top - box.y1) < 0]
    assert outside == []
    crossing = [(a, b) for i, (a, one) in enumerate(found) for b, other in found[i + 1 :]
                if one.padded(-1.5).overlaps(other.padded(-1.5))]  # fmt: skip
    assert crossing == []


def test_what_is_shown_is_what_is_planned(both: Plan, shown: Diagram) -> None:
    assert [block.index for block in shown.blocks] == [0, 1, 2, 3]
    assert [layer.name for block in shown.blocks for layer in block.layers] == [
        name for block in both.blocks for name in block.layers
    ]
    assert sum(block.parameters for block in shown.blocks) == sum(
        network.graph.parameter_count for network in both.networks.values() if not network.prefix
    )
    assert [(unit.name, unit.start, unit.end) for unit in shown.units] == [(u.name, u.start, u.end) for u in both.units]
    assert {head.grid for unit in shown.units for head in unit.heads if head.name == "decoder"} == {(2, 2)}
    assert {(unit.end, link.source) for unit in shown.units for link in unit.links} == {(0, 1), (1, 2), (2, 3)}
    assert shown.summary.startswith("4 blocks, 7 local units of the levels independent (windows of 1 block), cascade")


def test_a_picture_names_blocks_heads_and_links_and_says_more_when_it_is_pointed_at(both: Plan, shown: Diagram) -> None:
    picture = block_diagram(both)
    found = texts(picture)
    assert {"block 0", "block 3", "stem … stage1.0", "images 1×8×8", "logits 4", "decoder", "cross_entropy"} <= set(
        found
    )
    assert "independent: gradient through 1 block" in found
    assert "cascade: gradient through 2 blocks" in found
    assert sum(text.startswith("EMA of ") for text in found) == sum(len(unit.links) for unit in shown.units)
    said = "\n".join(picture.tips.values())
    for unit in shown.units:
        assert all(f"{unit.name}: {each.said}" in said for each in (*unit.links, *unit.heads))
    assert picture.summary == shown.summary


def test_the_bar_of_a_window_goes_over_its_blocks(both: Plan, shown: Diagram) -> None:
    (axes,) = block_diagram(both).figure.axes
    bars = [line for line in axes.lines if line.get_linewidth() == 3.5]
    boxes = [patch for patch in axes.patches if hasattr(patch, "get_boxstyle")]
    tops = sorted({round(box.get_y(), 3) for box in boxes if box.get_width() > 200})
    ends = [(min(bar.get_ydata()), max(bar.get_ydata()), bar.get_xdata()[0]) for bar in bars]
    assert len(ends) == len(shown.units)
    for unit, (top, bottom, _) in zip(shown.units, ends, strict=True):
        assert sum(top - 2 <= y <= bottom for y in tops) == unit.end - unit.start + 1
    for i, (top, bottom, x) in enumerate(ends):
        beside = [end for end in ends[i + 1 :] if end[2] == x]
        assert not any(top < last and first < bottom for first, last, _ in beside), "windows that overlap go abreast"


def test_layers_are_opened_when_they_are_asked_for(both: Plan) -> None:
    names = {name for block in both.blocks for name in block.layers}
    assert names <= set(texts(block_diagram(both, layers=True)))
    assert not names <= set(texts(block_diagram(both)))


@pytest.mark.parametrize("layers", [False, True], ids=["blocks", "layers"])
def test_graphviz_reads_dot(plan: Plan, layers: bool) -> None:
    found = diagram(plan)
    (graph,) = pydot.graph_from_dot_data(to_dot(found, layers=layers))
    edges = [(edge.get_source(), edge.get_destination(), edge.get("label")) for edge in graph.get_edges()]
    links = sum(len(unit.links) for unit in found.units)
    assert sum(label == "EMA" for *_, label in edges) == links
    assert sum(label == "window" for *_, label in edges) == sum(unit.end - unit.start for unit in found.units)
    assert sum("cut" in (label or "") for *_, label in edges) == len(found.blocks) - 1
    assert len(graph.get_subgraphs()) == (len(found.blocks) if layers else 0)
    nodes = {node.get_name() for part in (graph, *graph.get_subgraphs()) for node in part.get_nodes()}
    assert {end for edge in edges for end in edge[:2]} <= nodes
    assert {f"unit{i}" for i in range(len(found.units))} <= nodes


EDGE = re.compile(r'  +(\w+) (?:-->|-\. "[^"]*" \.->|-\. "[^"]*" \.-) (\w+)')
NODE = re.compile(r'  +(\w+)(?:\["[^"]*"\]|\(\[[^"]*\]\))(?::::level\d)?')
OTHER = re.compile(r'  subgraph block\d+\["block \d+"\]|  end|  classDef level\d+ stroke:#[0-9a-f]{6},stroke-width:2px')


@pytest.mark.parametrize("layers", [False, True], ids=["blocks", "layers"])
def test_mermaid_has_nodes_for_all_edges(plan: Plan, layers: bool) -> None:
    head, *lines = to_mermaid(diagram(plan), layers=layers).partition("---\nflowchart TD\n")[2].splitlines()
    lines = [head, *lines]
    edges, nodes = (
        [m for line in lines if (m := EDGE.fullmatch(line))],
        [m for line in lines if (m := NODE.fullmatch(line))],
    )
    assert len(edges) + len(nodes) + sum(bool(OTHER.fullmatch(line)) for line in lines) == len(lines)
    names = [node[1] for node in nodes]
    assert len(names) == len(set(names))
    assert {end for edge in edges for end in edge.groups()} <= set(names)


def test_names_cannot_break_out_of_what_is_written() -> None:
    odd = 'a"]; b -> c\\ <script> #x `{|}'
    found = diagram(compiled())
    broken = Diagram(odd, found.levels, tuple(
        type(b)(b.index, odd, b.input, b.output, b.parameters, b.layers) for b in found.blocks
    ), found.units)  # fmt: skip
    (graph,) = pydot.graph_from_dot_data(to_dot(broken))
    assert {node.get_name() for node in graph.get_nodes()} == {
        node.get_name() for node in pydot.graph_from_dot_data(to_dot(found))[0].get_nodes()
    }
    text = to_mermaid(broken)
    assert "<script>" not in text
    assert all(line.count('"') % 2 == 0 for line in text.splitlines())
    wide = block_diagram(compiled())
    assert "<script>" not in page(broken, wide, wide)


class Tags(HTMLParser):
    """What a page consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_page_needs_nothing_but_itself(both: Plan, shown: Diagram) -> None:
    wide, narrow = (block_diagram(both, width) for width in (720, 340))
    text = page(shown, wide, narrow)
    tags = Tags()
    tags.feed(text)
    assert "script" not in {tag for tag, _ in tags.tags}
    links = [value for _, attrs in tags.tags for name, value in attrs.items() if name in ("src", "href", "xlink:href")]
    assert all(value is not None and value.startswith(("#", "data:")) for value in links)
    assert to_inline(wide) in text
    assert to_inline(narrow) in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(unit.name in text.partition("In words")[2] for unit in shown.units)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(document(**MAN)), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "begins"), [
    ("a.svg", "<?xml"), ("a.html", "<!doctype html>"), ("a.DOT", "digraph"), ("a.mmd", "---\n"), ("a.mermaid", "---\n"),
])  # fmt: skip
def test_the_suffix_says_how_it_is_written(spec: Path, tmp_path: Path, name: str, begins: str) -> None:
    done = specc("graph", spec, "-o", tmp_path / name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
    assert specc("graph", spec, "-o", tmp_path / name, cwd=tmp_path).returncode == 2


def test_an_unknown_suffix_lists_those_that_are_known(spec: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a"):
        done = specc("graph", spec, "-o", name, cwd=tmp_path)
        assert done.returncode == 2
        assert ".svg, .html, .dot, .mmd or .mermaid" in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_spec_over_its_budget_can_be_drawn(tmp_path: Path) -> None:
    spec = tmp_path / "tiny.yaml"
    spec.write_text(json.dumps(document(budget={"memory": "1 KiB"})), encoding="utf-8")
    assert specc("plan", spec, cwd=tmp_path).returncode == 1
    assert specc("graph", spec, "-o", "a.dot", cwd=tmp_path).returncode == 0


def test_without_a_file_there_is_the_table_which_has_the_layers_anyway(spec: Path, tmp_path: Path) -> None:
    table = specc("graph", spec, cwd=tmp_path)
    assert "stage1.0" in table.stdout
    assert specc("graph", spec, "--layers", cwd=tmp_path).returncode == 2
