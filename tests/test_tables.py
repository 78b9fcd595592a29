"""Tables fit the terminal that is there, lose nothing unsaid, and are plain rows elsewhere."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from specc.checking import load
from specc.pipeline import compile_spec
from specc.plan import Plan
from specc.views import Column, Table, table
from specc.views.fitting import CARDS, Place
from specc.views.plan import plan_table

from .commands import specc
from .documents import document
from .shipped import FEW, FOLDER, SHIPPED
from .terminals import shown

QUICKSTART = FOLDER / "quickstart.yaml"
QUICK = [path for path in SHIPPED if not path.stem.endswith(("_cityscapes", "_voc"))]  # those are traced first
WIDTHS = st.integers(40, 200)


@cache
def planned(path: Path) -> Plan:
    return compile_spec(load(path, []).on("cuda"))[0]


def text(made: Table, width: int, encoding: str = "utf-8") -> list[str]:
    return ["".join(piece for piece, _ in line) for line in made.lines(Place(width, encoding))]


def broken(made: Table, lines: list[str]) -> list[str]:
    """Words that are none of the table's: parts of some, where no ellipsis says so."""
    named = [name for c in made.columns for name in (c.name, f"{c.name}:", c.brief_name)]
    cells = [text for row in made.rows for text in row]
    brief = [c.brief(text) for row in made.rows for c, text in zip(made.columns, row, strict=True) if c.brief]
    known = {word for text in (*named, *cells, *brief, made.title or "") for word in text.split()}
    return [
        word for line in lines for word in line.split() if word not in known and "…" not in word and set(word) != {"─"}
    ]


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_a_plan_fits_every_width_and_breaks_no_word(path: Path) -> None:
    made = plan_table(planned(path))
    for width in (40, 41, 60, 71, 72, 80, 100, 120, 200):
        lines = text(made, width)
        assert max(map(cell_len, lines)) <= width
        assert broken(made, [line for line in lines if "shortened to fit" not in line]) == []


CELLS = st.text(st.sampled_from("ab.層é,× 1"), max_size=50).map(str.strip) | st.sampled_from(
    ["–", "", "stem, a.b, c, head"]
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Columns of every kind, and texts of any width in them."""
    kinds = [
        Column("name", shortens=draw(st.sampled_from(["middle", "end"])), heads=True),
        Column("list", wraps=True, shortens="middle", stacks=1),
        Column("items", shortens="items"),
        Column("parameters", right=True, brief_name="n"),
    ]
    columns = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))
    rows = draw(st.lists(st.tuples(*[CELLS] * len(columns)), max_size=4))
    return Table(draw(st.none() | CELLS), tuple(columns), tuple(rows))


@given(tables(), WIDTHS, st.sampled_from(["utf-8", "ascii"]))
def test_no_table_is_wider_than_its_terminal(made: Table, width: int, encoding: str) -> None:
    lines = text(made, width, encoding)
    figures = [c.right for c in made.columns]
    assert all(cell_len(line) <= width for line in lines), figures
    assert not any(line.endswith(" ") for line in lines)
    if encoding == "ascii":
        assert "".join(lines).isascii()


def test_what_is_shortened_is_said_once_and_where_it_is_whole() -> None:
    made = table(None, ["spec"], ["peak"], [["x" * 90, "1 MiB"], ["y" * 90, "2 MiB"]])
    (said,) = [line for line in text(made, 80) if "--format json" in line]
    assert said == "… shortened to fit; all of it: --format json"
    assert not any("shortened" in line for line in text(made, 120))


def test_what_only_moves_is_not_said_to_be_shortened() -> None:
    assert not any("shortened" in line for line in text(plan_table(planned(QUICKSTART)), 80))


def test_columns_move_below_their_rows_in_their_order() -> None:
    lines = text(plan_table(planned(QUICKSTART)), 80)
    assert lines[2].split() == ["unit", "blocks", "layers", "features", "params", "MFLOPs", "peak"]
    assert lines[5].strip() == "heads: classifier ×0.1   links: ema of stage1.2, bias branch"


def test_a_narrow_terminal_has_a_card_a_unit() -> None:
    lines = text(plan_table(planned(QUICKSTART)), 60)
    assert lines[2:7] == [
        "unit0.independent",
        "  blocks      0",
        "  layers      stem … stage1.1",
        "  features    16×8×8",
        "  heads       classifier ×0.1",
    ]
    assert CARDS > 60


def test_a_list_keeps_its_first_items_and_its_last() -> None:
    made = table(None, [Column("cuts after", shortens="items")], [], [["stem, stage1.0, stage1.1, stage1.2, head"]])
    assert text(made, 30)[2] == "stem, stage1.0, … head"


def test_a_column_that_says_nothing_is_not_shown() -> None:
    made = table(None, ["spec", "links"], ["peak"], [["a", "–", "1 B"]])
    assert text(made, 80)[0].split() == ["spec", "peak"]
    assert next(made.separated()) == "spec\tlinks\tpeak", "to programs a table is always the same"


def test_letters_that_take_two_cells_are_counted_as_two() -> None:
    made = table(None, ["spec"], ["peak"], [["層" * 10, "1 MiB"], ["a", "2 MiB"]])
    ends = {cell_len(line) for line in text(made, 80)[2:4]}
    assert len(ends) == 1


# ------------------------------------------------------------------------------------------- terminals and pipes


@pytest.mark.parametrize("words", [("plan",), ("graph",), ("fit", "--budget", "1MiB"), ("compare",)], ids=" ".join)
def test_away_from_a_terminal_a_table_is_rows_of_all_there_is(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(json.dumps(document()))
    command, *options = words
    done = specc(command, "spec.yaml", *options, cwd=tmp_path)
    rows = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    assert len(rows) > 1
    assert len({len(row) for row in rows}) == 1
    assert done.stdout.splitlines()[0] == "\t".join(rows[0]), "the names of the columns come first"
    assert all(cell == cell.strip() for row in rows for cell in row), "nothing is padded"
    assert "─" not in done.stdout
    assert "shortened" not in done.stdout


def test_away_from_a_terminal_no_width_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = specc("plan", FEW[-1], cwd=tmp_path).stdout
    monkeypatch.setenv("COLUMNS", "40")
    assert specc("plan", FEW[-1], cwd=tmp_path).stdout == wide


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_terminal_is_as_wide_as_it_says(columns: int) -> None:
    lines = shown("plan", QUICKSTART, columns=columns).splitlines()
    widest = max(map(cell_len, lines))
    assert columns - 20 < widest <= columns


def test_an_encoding_without_lines_and_dots_gets_others_of_the_right_width() -> None:
    lines = shown("plan", QUICKSTART, columns=80, encoding="ascii", both=False).splitlines()
    assert lines[3] == "-" * len(lines[2])
    assert lines[4].split()[:6] == ["0.independent", "0", "stem", "...", "stage1.1", "16x8x8"]
    assert {len(line) for line in lines[4:] if line.endswith("iB")} == {len(lines[2])}


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "FORCE_COLOR": "0"}, False),
    ],
    ids=str,
)
def test_one_place_decides_about_colours(environ: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("specc: 1\nnam: x\n")
    assert ("\x1b[" in shown("plan", QUICKSTART, columns=80, **environ)) is coloured
    assert ("\x1b[" in shown("validate", wrong, columns=80, **environ)) is coloured


def test_colours_can_be_had_in_a_pipe_where_rows_stay_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from specc.cli import main

    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("specc: 1\nnam: x\n")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror" in CliRunner().invoke(main, ["validate", str(wrong)]).stderr
    assert CliRunner().invoke(main, ["plan", str(QUICKSTART)]).stdout.startswith("unit\tblocks\tlayers")
