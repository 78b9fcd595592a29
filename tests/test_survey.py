"""docs/networks.md is what the rows of the survey say, and no network of its lists is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.survey.__main__ import RESULTS, read, write
from benchmarks.survey.outcome import Row, shortened
from benchmarks.survey.page import PAGE, text
from benchmarks.survey.subjects import subjects


def test_the_page_is_what_the_rows_say() -> None:
    rows = [Row(row) for row in read(RESULTS).values()]
    assert PAGE.read_text(encoding="utf-8") == text(rows), "python -m benchmarks.survey page"
    assert [row.key for row in rows] == [subject.key for subject in subjects()]


def test_as_many_come_through_as_is_promised() -> None:
    """Of 120 models of timm 95 % run in four units and 90 % are predicted within 1 %; of 30 others 25 do both."""
    rows = [Row(row) for row in read(RESULTS).values()]
    timm, others = ([row for row in rows if row.key.startswith(f"{kind}:")] for kind in ("timm", "transformers"))
    assert (len(timm), len(others)) == (120, 30)
    assert sum(row.run for row in timm) >= 0.95 * 120
    assert sum(row.near for row in timm) >= 0.9 * 120
    assert sum(row.through for row in others) >= 25


@pytest.mark.full
def test_a_survey_looks_at_a_network_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """One process a network, which may hang: then its row says so, and `--again` looks at it once more."""
    file = tmp_path / "rows.jsonl"
    command = [sys.executable, "-m", "benchmarks.survey", "--only", "timm:resnet10t", "--out", str(file)]

    def row(*words: str) -> Row:
        subprocess.run([*command, *words], cwd=Path(__file__).parents[1], check=True, capture_output=True)
        (found,) = read(file).values()
        return Row(found)

    late = row("--limit", "0")
    assert (late.error, late.traced, late.off) == ("took more than 0 seconds", False, None)
    assert row().found == late.found
    assert row("--again").through


def test_only_networks_of_the_lists_are_kept(tmp_path: Path) -> None:
    row = {"key": "timm:resnet10t"}
    write(tmp_path / "rows.jsonl", {"timm:resnet10t": row, "timm:gone": {"key": "timm:gone"}})
    assert list(read(tmp_path / "rows.jsonl").values()) == [row]


@pytest.mark.parametrize(
    ("error", "short"),
    [
        ("SpecError: a: warning[SPC437]: x\na: error[SPC410]: y\nhelp", "error[SPC410]: y"),
        ("TypeError: z", "TypeError: z"),
    ],
)
def test_an_error_is_told_in_a_line(error: str, short: str) -> None:
    assert shortened(error) == short
