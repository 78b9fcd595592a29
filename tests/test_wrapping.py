"""What a diagnostic says on a terminal of any width: whole words, and marks under what they mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from specc.checking import check
from specc.diagnostics import Diagnostic, Label, Span
from specc.diagnostics.render import render
from specc.diagnostics.words import hanging, shortened, wrapped

BAD = sorted((Path(__file__).parent / "specs_bad").glob("*.yaml"))
WIDTHS = (40, 60, 80, 120, 200)


def too_wide(text: str, width: int) -> list[str]:
    """Lines beyond the width, but for a place in a file and for words that are wider than a line."""
    return [
        line
        for line in text.splitlines()
        if cell_len(line) > width and len(re.sub(r"^(\w+\[\w+\]:| +(-->|:::|= help:|\|)) ", "", line).split()) > 1
    ]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_no_diagnostic_is_wider_than_its_terminal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    report = check(path.name)
    for width in WIDTHS:
        for encoding in ("utf-8", "ascii"):
            said = render(report.diagnostics, report.sources, width=width, encoding=encoding)
            assert too_wide(said, width) == []
            words = {word for line in said.splitlines() if " | " not in line for word in line.split()}
            whole = render(report.diagnostics, report.sources, encoding=encoding).split()
            assert words - {"help:", *whole, *(word.strip("()") for word in whole)} == set(), "a word is broken"


def test_away_from_a_terminal_nothing_wraps() -> None:
    long = Diagnostic("SPC100", "word " * 100, Span("x", 1, 1, 1, 2), "label " * 50, help=("help " * 80,))
    head, _, _, under, help, *_ = render([long], {"x": "k: 1"}).splitlines()
    assert all(len(line) > 200 for line in (head, under, help))


def test_what_goes_on_stands_under_what_it_goes_on_with() -> None:
    found = Diagnostic("SPC100", "a message that goes on for a while, and then some", Span("x", 1, 1, 1, 2),
                       help=("take fewer blocks than that, or a smaller batch than this one is",))  # fmt: skip
    lines = render([found], {"x": "k: 1"}, width=60).splitlines()
    assert lines[:2] == ["error[SPC100]: a message that goes on for a while, and then", "               some"]
    assert lines[5:7] == [
        "   = help: take fewer blocks than that, or a smaller batch",
        "           than this one is     (specc explain SPC100)",
    ]


def test_where_to_read_more_has_a_line_of_its_own_where_it_would_not_fit() -> None:
    found = Diagnostic("SPC100", "wrong", help=("take fewer blocks than that, or a smaller one",))
    assert render([found], {}, width=60).splitlines()[2] == "   = help: specc explain SPC100"


@given(
    st.text(st.sampled_from("ab :{}\t層é…"), max_size=300),
    st.integers(0, 300),
    st.integers(0, 40),
    st.sampled_from([None, *range(40, 200, 7)]),
    st.sampled_from(["utf-8", "ascii"]),
)
def test_a_mark_stands_under_its_text_wherever_the_line_is_cut(
    line: str, start: int, length: int, width: int | None, encoding: str
) -> None:
    start = min(start, len(line))
    line = line[:start] + "X" + "y" * length + line[start:]
    found = Diagnostic("SPC100", "wrong", Span("x", 1, start + 1, 1, start + 2 + length), "a label of some length")
    said = render([found], {"x": line}, width=width, encoding=encoding)
    shown, marks = said.splitlines()[2:4]
    assert cell_len(shown) <= (width or 127)
    assert cell_len(marks) <= (width or 500)
    at = marks.index("^")
    assert next(c for n, c in enumerate(shown) if cell_len(shown[:n]) == at and cell_len(c)) == "X"
    if length < 10:
        assert marks.count("^") == length + 1


def test_marks_that_are_far_apart_have_an_excerpt_each() -> None:
    line = "first: 1" + " " * 200 + "second: 2"
    other = Label(Span("x", 1, 1, 1, 6), "used here")
    found = Diagnostic("SPC100", "wrong", Span("x", 1, 209, 1, 215), "and here", secondary=(other,))
    lines = render([found], {"x": line}, width=60).splitlines()
    assert [row[7:].lstrip("… ")[:6] for row in lines[2:6:2]] == ["first:", "second"]
    assert "----- used here" in lines[3]
    assert lines[5].endswith("^^^^^^")
    assert lines[6].endswith("and here")


def test_a_label_without_room_beside_its_mark_stands_below() -> None:
    found = Diagnostic("SPC100", "wrong", Span("x", 1, 30, 1, 36), "expected something else")
    lines = render([found], {"x": " " * 29 + "valueX"}, width=50).splitlines()
    assert lines[3].strip() == "| ^^^^^^".strip() or lines[3].endswith("^^^^^^")
    assert lines[4].endswith("expected something else")
    assert cell_len(lines[4]) <= 50


TEXT = st.lists(st.text(st.sampled_from("ab,層"), min_size=1, max_size=12), max_size=20).map(" ".join)


@given(TEXT, st.integers(20, 80), st.integers(0, 15))
def test_wrapping_loses_nothing_and_breaks_nothing(text: str, width: int, begun: int) -> None:
    lines = wrapped(text, width, begun=begun)
    assert " ".join(filter(None, lines)) == text
    assert all(cell_len(line) <= width - begun * (not n) for n, line in enumerate(lines))


def test_what_is_quoted_is_one_word_and_so_is_a_figure_with_its_unit() -> None:
    assert wrapped("write `a: b` or 12.5 MiB here", 10) == ["write", "`a: b` or", "12.5 MiB", "here"]


@given(st.text(st.sampled_from("ab層é"), max_size=60), st.integers(1, 40), st.sampled_from(["middle", "end"]))
def test_what_is_shortened_takes_no_more_than_it_may(text: str, width: int, at: str) -> None:
    short = shortened(text, width, at=at)
    assert cell_len(short) <= width
    assert short == text or short.count("…") == 1


def test_a_hanging_line_keeps_its_place() -> None:
    assert hanging("  activations 6.64 MiB, parameters 2.45 MiB", 24) == [
        "  activations 6.64 MiB,",
        "    parameters 2.45 MiB",
    ]
