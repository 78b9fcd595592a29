"""Who has nothing but the report of a run can answer the questions that anybody asks of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

import specc as compiler
from specc.language.schema import show_bytes
from specc.plan import Plan
from tests.commands import specc
from tests.documents import spec_of

from .chromium import SETTINGS, visit
from .pages import Shelf
from .trained import WHOLE

PHONE = SETTINGS[0]
TITLE = "What else would have fitted, and how long would it have taken?"
SLICED = "end-to-end training with 2 micro-batches\t"


@pytest.fixture(scope="module")
def run(shelf: Shelf) -> Path:
    """A run of local learning whose budget end-to-end training does not keep without more ado."""
    return shelf.file("report").parent


@pytest.fixture
def report(browser: Page, run: Path) -> Iterator[Page]:
    with visit(browser, (run / "report.html").as_uri(), PHONE):
        yield browser


def answer(report: Page, question: str) -> str:
    """What stands under a question at the top of the page, as it is seen."""
    found = report.get_by_role("article").filter(has_text=question)
    assert found.count() == 1, f"nothing answers {question!r}"
    return found.inner_text()


def section(report: Page, title: str) -> str:
    return report.get_by_role("region", name=title, exact=True).inner_text()


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def test_whether_it_stayed_in_its_budget(report: Page, run: Path) -> None:
    memory, said = summary(run)["memory"], answer(report, "Did it stay in its budget?")
    assert memory["within_budget"]
    assert "Yes" in said
    assert all(show_bytes(memory[f"{name}_bytes"]) in said for name in ("budget", "measured_peak", "predicted_peak"))


def test_which_block_peaked(report: Page, run: Path) -> None:
    plan = Plan.from_json((run / "plan.json").read_text(encoding="utf-8"))
    instruction = plan.instructions[plan.memory.peak_instruction]
    said = answer(report, "What peaked?")
    assert f"Block {instruction.block}" in said
    assert str(instruction) in said


def test_which_unit_learns_least(report: Page, run: Path) -> None:
    own = [0.1, *summary(run)["units"]["test"].values()]  # who guesses tells one digit in ten
    gains = [after - before for before, after in pairwise(own)]
    assert f"unit{gains.index(min(gains))}" in answer(report, "Which unit learns least?")


def test_whether_end_to_end_training_would_have_been_better(report: Page, run: Path) -> None:
    question = "Would end-to-end training have been better?"
    whole = WHOLE | {"train": WHOLE["train"] | {"micro_batches": 2}}
    peaks = [show_bytes(compiler.compile(spec_of(each)).memory.peak_bytes) for each in (WHOLE, whole)]
    assert peaks[0] in answer(report, question)
    rows = [line for line in section(report, TITLE).splitlines() if line.startswith(SLICED)]
    assert len(rows) == 1
    assert peaks[1] in rows[0]


def test_what_to_change_next(report: Page, run: Path, tmp_path: Path) -> None:
    said = section(report, "What to change next?")
    commands = re.findall(r"^specc .*$", said, re.MULTILINE)
    assert commands
    for command in commands:
        name, *words = shlex.split(command)[1:]
        assert name in ("run", "resume")
        if name == "run":
            assert specc("plan", *words, cwd=tmp_path).returncode == 0
