"""Diagnostics as values and as text."""

from __future__ import annotations

import json
import pickle

import pytest

from specc.diagnostics import Diagnostic, Label, Severity, Span, SpecError, did_you_mean, sort, suggest
from specc.diagnostics import values as d
from specc.diagnostics.human import display_width
from specc.diagnostics.render import FORMATS, render

TEXT = "layers:\n  - name: stem\n    op: conv\n    kernel: 3\n\twide: 層層 x\n    end: 1\n"
SOURCES = {"specs/my.yaml": TEXT, "<cli>": "train.epoch=2"}
KERNEL = Diagnostic(
    "SPC204",
    "unknown key `kernel` in layer `stem`",
    Span("specs/my.yaml", 4, 5, 4, 11),
    "not an argument of `conv`",
    help=("did you mean `k`?", "valid: out, k, stride"),
)


def at(line: int, column: int, end_line: int, end_column: int, **more: object) -> Diagnostic:
    return Diagnostic("SPC100", "wrong", Span("specs/my.yaml", line, column, end_line, end_column), **more)


def human(*diagnostics: Diagnostic) -> list[str]:
    return render(diagnostics, SOURCES).splitlines()


def test_human_looks_like_the_style_guide() -> None:
    assert human(KERNEL) == [
        "error[SPC204]: unknown key `kernel` in layer `stem`",
        "  --> specs/my.yaml:4:5",
        "   4 |     kernel: 3",
        "     |     ^^^^^^ not an argument of `conv`",
        "   = help: did you mean `k`?",
        "   = help: valid: out, k, stride     (specc explain SPC204)",
        "",
        "1 error",
    ]


def test_second_places_are_shown_in_the_order_of_the_file() -> None:
    other = Label(Span("specs/my.yaml", 2, 5, 2, 9), "the layer")
    lines = human(at(4, 5, 4, 11, label="this", secondary=(other, Label(Span("<cli>", 1, 7, 1, 12), "and this"))))
    assert lines[1:9] == [
        "  --> specs/my.yaml:4:5",
        "   2 |   - name: stem",
        "     |     ---- the layer",
        "...",
        "   4 |     kernel: 3",
        "     |     ^^^^^^ this",
        "  ::: <cli>:1:7",
        "   1 | train.epoch=2",
    ]


def test_a_span_of_several_lines_is_marked_at_both_ends() -> None:
    assert human(at(2, 5, 4, 14, label="all of it"))[2:7] == [
        "   2 |   - name: stem",
        "     |     ^^^^^^^^^^",
        "...",
        "   4 |     kernel: 3",
        "     |     ^^^^^^^^^ all of it",
    ]


def test_carets_stand_under_tabs_and_wide_characters() -> None:
    line, marks = human(at(5, 8, 5, 10))[2:4]
    assert line == "   5 |     wide: 層層 x"
    before = line[: line.index("層")]
    assert display_width(before) == marks.index("^")
    assert marks.count("^") == 4


def test_an_empty_span_still_has_a_caret() -> None:
    assert human(at(1, 8, 1, 8))[3] == "     |        ^"


def test_long_lines_are_cut_around_the_mark() -> None:
    text = "k: [" + "ab, " * 5000 + "bad]"
    column = text.index("bad") + 1
    lines = render([Diagnostic("SPC100", "wrong", Span("x", 1, column, 1, column + 3))], {"x": text}).splitlines()
    shown, marks = lines[2:4]
    assert len(shown) < 200
    assert shown[marks.index("^") :].startswith("bad")


def test_a_spec_cannot_drive_the_terminal() -> None:
    text = render([Diagnostic("SPC100", "a \x1b[31m b", Span("x\x07", 1, 1, 1, 2), "\x1b")], {"x\x07": "\x1b\u202e"})
    assert not set(text) & {"\x1b", "\x07", "\u202e"}


def test_colour_changes_nothing_but_colour() -> None:
    import re

    coloured = render([KERNEL], SOURCES, color=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([KERNEL], SOURCES)


def test_positions_outside_of_the_source_and_no_positions_are_no_problem() -> None:
    for format in FORMATS:
        render([at(99, 1, 99, 2), at(1, 500, 1, 600), Diagnostic("SPC100", "wrong")], {}, format)
        render([at(99, 1, 99, 2), at(1, 500, 1, 600), at(3, 1, 99, 1)], SOURCES, format)


def test_summary_counts() -> None:
    warning = Diagnostic("SPC400", "zero weight", severity=Severity.WARNING)
    assert human(KERNEL, at(1, 1, 1, 2), warning)[-1] == "2 errors, 1 warning"
    assert render([], SOURCES) == ""


def test_concise_is_one_line_each() -> None:
    assert render([KERNEL], SOURCES, "concise") == (
        "specs/my.yaml:4:5: error[SPC204]: unknown key `kernel` in layer `stem`"
    )


def test_json_is_one_versioned_document() -> None:
    document = json.loads(render([KERNEL, Diagnostic("SPC100", "wrong")], SOURCES, "json"))
    assert (document["format_version"], document["errors"], document["warnings"]) == (1, 2, 0)
    first, second = document["diagnostics"]
    assert first["span"] == {"file": "specs/my.yaml", "line": 4, "column": 5, "end_line": 4, "end_column": 11}
    assert (first["severity"], first["help"][0], second["span"]) == ("error", "did you mean `k`?", None)


def test_github_commands_are_escaped() -> None:
    found = Diagnostic("SPC100", "50% a,b: c\nd", Span("a,b:c%.yaml", 1, 2, 1, 4), severity=Severity.WARNING)
    assert render([found], {}, "github") == (
        "::warning file=a%2Cb%3Ac%25.yaml,line=1,endLine=1,col=2,endColumn=3,title=SPC100::50%25 a,b: c%0Ad"
    )


def test_sarif_has_what_the_standard_requires() -> None:
    found = at(4, 5, 4, 11, secondary=(Label(Span("<cli>", 1, 1, 1, 2), "there"),))
    document = json.loads(render([found, KERNEL], SOURCES, "sarif"))
    (run,) = document["runs"]
    assert (document["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "specc")
    first, second = run["results"]
    assert run["tool"]["driver"]["rules"][second["ruleIndex"]]["id"] == second["ruleId"] == "SPC204"
    region = first["locations"][0]["physicalLocation"]["region"]
    assert region.items() >= {"startLine": 4, "startColumn": 5, "endLine": 4, "endColumn": 11}.items()
    assert first["relatedLocations"][0]["logicalLocations"][0]["name"] == SOURCES["<cli>"]


def test_sort_is_file_order_without_duplicates() -> None:
    unplaced = Diagnostic("SPC900", "no place")
    first, second = at(1, 1, 1, 2), at(1, 5, 1, 6)
    assert sort([unplaced, KERNEL, second, first, KERNEL]) == (first, second, KERNEL, unplaced)


def test_spec_error_reads_like_the_concise_format_and_survives_pickling() -> None:
    error = SpecError([KERNEL, at(1, 1, 1, 2)], SOURCES)
    assert str(error) == render(error.diagnostics, SOURCES, "concise")
    assert pickle.loads(pickle.dumps(error)).diagnostics == error.diagnostics


@pytest.mark.parametrize(
    ("name", "expected"),
    [("kernel", "k"), ("Kernel_", "k"), ("strides", "stride"), ("OUT", "out"), ("zebra", None), ("", None)],
)
def test_suggest(name: str, expected: str | None) -> None:
    assert suggest(name, ["out", "k", "stride"], {"kernel": "k", "filters": "gone"}) == expected


def test_a_common_other_name_counts_only_where_its_target_is_valid() -> None:
    assert suggest("filters", ["out", "k"], {"filters": "gone"}) is None


def test_long_lists_of_valid_names_are_cut() -> None:
    names = [f"layer{i}" for i in range(5000)]
    guess, valid = did_you_mean("layer77x", names)
    assert guess.startswith("did you mean `layer77")
    assert valid.endswith("... (5000 in all)")
    assert did_you_mean("x", []) == ()


def test_the_examples_in_docstrings_hold() -> None:
    import doctest

    from specc.commands import output
    from specc.diagnostics import human as people
    from specc.diagnostics import words
    from specc.language import scalars
    from specc.reference import concerns
    from specc.views import columns

    for module in (d, people, words, output, concerns, columns, scalars):
        assert doctest.testmod(module).failed == 0
