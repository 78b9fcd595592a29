"""What the README shows is what works, every figure in it comes from somewhere, and it is read in two screens."""

from __future__ import annotations

import re
from pathlib import Path

import specc
from specc.docs.examples.fences import fences
from specc.language.schema import show_bytes
from specc.spec.load import loads

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
(SPEC,) = (fence for fence in fences(README) if fence.language == "yaml")


def rows(page: str) -> list[list[str]]:
    """The cells of all rows of a page's tables that show figures."""
    found = re.findall(r"^\|(.+)\|$", page, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in found if re.search(r"\d", row)]


def test_it_is_read_in_two_screens() -> None:
    assert len(README.splitlines()) <= 100


def test_its_two_commands_are_targets() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    assert commands == ["demo", "test"]
    assert set(commands) <= set(targets)


def test_what_end_to_end_training_takes_is_what_specc_predicts() -> None:
    (said,) = re.findall(r"end to end this takes ([\d.]+ GiB)", SPEC.body)
    whole = specc.compile(loads(SPEC.body, "README.md", ["split=null", "split.blocks=1", "budget=null"]), device="cpu")
    exact, unit = show_bytes(whole.memory.peak_bytes).split()
    assert said == f"{float(exact):.1f} {unit}"


def test_its_results_are_those_of_the_page_of_results() -> None:
    shown = rows(README)
    assert shown
    assert [row for row in shown if row not in rows(RESULTS)] == []


def test_every_page_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links)
