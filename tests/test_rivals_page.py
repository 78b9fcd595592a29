"""docs/rivals.md is what the files say, and they are what is computed today."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import rivals, rivals_page
from benchmarks.rivals import Network
from specc import profiles
from specc.compiler.variants import predict
from specc.fit.attempts import Candidate
from specc.fit.crossing import ALIKE, Known, Pair, wins
from specc.fit.open_split import check_open_split
from specc.fit.verdict import verdict
from specc.pipeline import BEFORE_SPLIT, run_passes
from specc.spec.load import loads
from specc.views.rivals import rivals_document, rivals_lines

from .test_rivals import rivals as rivals_of

SMALL = Network(
    "small", {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 4, 4]}, {}, 8, 4, 4, "rtx3090", ("dgl",)
)


def test_the_page_is_what_the_files_say() -> None:
    documents = list(rivals.there(rivals.FOLDER))
    assert [each.name for each in rivals.NETWORKS] == list(rivals_page.NETWORKS)
    page = rivals.FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    assert page == rivals_page.text(documents)
    for document in documents:
        for case in document["cases"]:
            assert case["verdict"][1:] in page


def test_a_case_is_what_is_computed_today() -> None:
    """The fastest that fits of the smallest network, compiled anew."""
    network = rivals.NETWORKS[0]
    document = json.loads((rivals.FOLDER / f"{network.slug}.json").read_text(encoding="utf-8"))
    case = document["cases"][0]
    chosen = next(row for row in case["rows"] if row["name"] == case["chosen"])
    found = predict(network.comparison.draft, loads(case["spec"]).config, profiles.find(network.device))
    assert found is not None
    assert (found.peak, found.flops) == (chosen["predicted_peak_bytes"], chosen["flops_per_image"])
    assert found.seconds == pytest.approx(chosen["step_seconds"], rel=1e-9)
    assert case["budget_bytes"] == int(case["share"] * document["end_to_end_bytes"])


def test_what_was_stopped_goes_on(tmp_path: Path) -> None:
    first = rivals.compared(SMALL, tmp_path, (0.9,))
    both = rivals.compared(SMALL, tmp_path, (0.9, 0.5))
    assert both["cases"][0] == first["cases"][0]
    assert [case["share"] for case in both["cases"]] == [0.9, 0.5]
    assert rivals_page.winner(both["cases"][0]) in ("exact", "local", "neither")
    assert "## small" in rivals_page.text([both])


LISTED = {
    "specc": 1,
    "name": "listed",
    "backbone": {"family": "resnet_cifar", "depth": 8},
    "split": {"blocks": 3},
    "auxiliary": {"classifier": {"weight": [1.0, 0.5]}},
}


def test_rivals_say_nothing_of_lists_that_they_read_for_any_number_of_blocks() -> None:
    draft = run_passes(loads(json.dumps(LISTED)).on("cuda"), BEFORE_SPLIT)
    assert [each.code for each in check_open_split(draft).diagnostics] == ["SPC506"]
    checked = check_open_split(draft, any_blocks=True)
    assert not checked.diagnostics
    assert checked.spec.config == draft.spec.config


def test_what_is_alike_is_called_alike_and_what_was_not_searched_is_named() -> None:
    found = rivals_of(0.6)
    exact = found.fastest(local=False)
    assert exact is not None
    near = (replace(row, ratio=0.97 * exact.ratio) if row.local else row for row in found.rows)
    found = replace(found, rows=tuple(near), equal_parts=("man",), all_or_nothing=("man", "hpff"))
    said = verdict(found)
    assert said.startswith("nothing that fits ")
    assert f"is faster by more than {ALIKE:.0%} than end-to-end training" in said
    assert "the fastest that fits" not in said
    lines = list(rivals_lines(found))
    assert any(line.startswith("MAN: cut into parts that keep equally much") for line in lines)
    assert any(line.startswith("MAN and HPFF: with all recomputation or none") for line in lines)
    document = rivals_document(found, "cuda")
    assert (document["equal_parts"], document["all_or_nothing"]) == (["man"], ["man", "hpff"])


class Flat(Pair):
    """Costs the same under every budget."""

    def under(self, budget: int) -> float:
        return 1.0


def test_no_estimate_contradicts_the_rows_that_were_compiled() -> None:
    nothing: Candidate = None
    alike = [Flat(nothing, None)]
    found = wins(alike, alike, 100, 1000, Known(500, local=True))
    assert found is not None
    assert found.lowest == found.highest == 500
    assert wins(alike, alike, 100, 1000, Known(500, local=False)) is None
    assert ALIKE > 0
