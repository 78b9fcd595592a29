"""`specc report`: one page that needs nothing else and answers what a stranger asks, whatever is left of a run."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.dom import minidom

import pytest

from runtime.errors import RunError
from runtime.run.reporting import leave, reported
from runtime.run.rundir import RunDir
from specc.diagnostics.notices import notice
from specc.plan import Plan
from specc.report import writing
from specc.report.page import html, page_of
from specc.report.subject import subjects

from .commands import specc
from .documents import HPFF, MAN, compiled, document
from .left_behind import HOSTILE, left_behind, measured_of
from .test_resume import TINY

ADDRESSES = ("src", "href", "xlink:href")
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Parsed(HTMLParser):
    """A page's elements; that every one is closed by its own end is a part of reading it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled(**HPFF, **MAN, budget={"memory": "64 MiB"})


@pytest.fixture(scope="module")
def run(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = (HOSTILE, "cat", "猫", "a class & its very long name")
    return left_behind(tmp_path_factory.mktemp("run") / HOSTILE.replace("/", ""), plan, class_names=names,
                       measured=measured_of(plan))  # fmt: skip


@pytest.fixture(scope="module")
def page(run: Path) -> Parsed:
    return Parsed(html(page_of(subjects([run]))))


def test_it_needs_nothing_from_elsewhere(page: Parsed) -> None:
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.split("; ")[:2] == ["default-src 'none'", "style-src 'unsafe-inline'"]
    asked = [value or "" for _, each in page.elements for name, value in each.items() if name in ADDRESSES]
    assert [value for value in asked if not value.startswith("#")] == []
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in page.elements)


def test_whatever_a_run_is_called_is_text(page: Parsed) -> None:
    assert [name for _, each in page.elements for name in each if name.startswith("on")] == []
    for place in ("told to be", "specc run", "# </script>"):  # a tip of the matrix, a command, the spec
        assert place in page.text
    assert page.text.count("onerror=alert(1)") > 3


def test_every_link_leads_somewhere_on_the_page(page: Parsed) -> None:
    ids = Counter(value for _, each in page.elements for name, value in each.items() if name == "id")
    assert [name for name, count in ids.items() if count > 1] == []
    links = {(each["href"] or "").lstrip("#") for each in page.all("a")}
    assert links <= set(ids)


def test_a_run_that_ended_early_links_to_what_there_is_of_it(plan: Plan, tmp_path: Path) -> None:
    folder = left_behind(tmp_path / "run", plan, rows=[], epochs=0, test={}, status="failed", cause="of nothing")
    page = page_of(subjects([folder]))
    found = Parsed(html(replace(page, sections=tuple(each for each in page.sections if each.name == "environment"))))
    ids = {each.get("id") for _, each in found.elements}
    assert {(each["href"] or "").lstrip("#") for each in found.all("a")} <= ids


def test_every_picture_is_described_and_has_its_data_in_a_table(page: Parsed) -> None:
    pictures, figures = page.all("svg"), page.all("figure")
    assert len(pictures) == 2 * len(figures) > 0  # for wide screens and for narrow ones
    assert all(each["role"] == "img" and each["aria-labelledby"] for each in pictures)
    assert len(page.all("details")) >= len(figures)
    names = {each["id"] for each in figures}
    known = ("timeline", "network", "memory", "curves", "losses", "depth", "time", "confusion")
    assert names >= {f"figure-{name}" for name in known}


def test_what_scrolls_is_reached_by_the_keyboard(page: Parsed) -> None:
    scrolling = [each for tag, each in page.elements if tag == "pre" or "scroll" in (each.get("class") or "")]
    assert all(each["tabindex"] == "0" and each["role"] == "region" and each["aria-label"] for each in scrolling)
    assert scrolling
    first = page.all("a")[0]
    assert (first["class"], first["href"]) == ("skip", "#content")


QUESTIONS = (
    "Did it stay in its budget?", "What peaked?", "Which unit learns least?",
    "Would end-to-end training have been better?", "What to change next?",
)  # fmt: skip


def test_the_questions_of_a_stranger_are_answered_in_their_order(page: Parsed) -> None:
    at = [page.text.index(question, page.text.index("In short")) for question in QUESTIONS]
    assert at == sorted(at)


# ---------------------------------------------------------------------------------------------- the command


def test_the_page_lies_in_the_run_directory_and_its_pictures_where_one_asks(run: Path, tmp_path: Path) -> None:
    done = specc("report", run, "--svg", tmp_path / "a" / "svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    files = sorted((tmp_path / "a" / "svg").iterdir())
    assert {"memory.svg", "curves.svg", "confusion.svg"} <= {path.name for path in files}
    assert {minidom.parse(str(path)).documentElement.tagName for path in files} == {"svg"}
    assert done.stdout.count("wrote ") == 1 + len(files)


def test_a_link_is_not_written_through(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = left_behind(tmp_path / "run", plan), tmp_path / "other"
    other.write_text("mine")
    os.symlink(other, folder / "report.html")
    monkeypatch.setattr(writing, "html", lambda page: "a page")
    done = specc("report", folder, cwd=tmp_path)
    assert done.returncode == 3
    assert "symbolic link" in done.stderr
    assert other.read_text() == "mine"


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    done = specc("report", tmp_path, cwd=tmp_path)
    assert (done.returncode, "is not a run directory" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------- at the end of a run


def heard(run: RunDir, draw: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(writing, "report", draw)
    said: list[str] = []
    with notice.heard(said.append):
        leave(run)
    return said


def test_what_cannot_be_drawn_is_said_with_its_place_and_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folders: object) -> None:
        raise ZeroDivisionError("of nothing")

    (said,) = heard(RunDir(tmp_path), broken, monkeypatch)
    assert said.startswith(f"warning: {tmp_path}: no report: ZeroDivisionError: of nothing (test_report.py:")
    assert said.endswith(f"once more: specc report {tmp_path}")


def test_a_full_disk_is_said_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folders: object) -> None:
        raise OSError(28, "No space left on device", "report.html")

    assert heard(RunDir(tmp_path), full, monkeypatch) == ["warning: report.html: no report: No space left on device"]


@pytest.mark.parametrize("ends", [None, RunError("over")], ids=["well", "before its time"])
def test_a_run_that_began_has_a_report_however_it_ends(
    ends: RunError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Path] = []
    monkeypatch.setattr("runtime.run.reporting.leave", lambda run: left.append(run.path))
    for wanted, begins in ((True, True), (True, False), (False, True)):
        with suppress(RunError), reported(RunDir(tmp_path), wanted=wanted) as begun:
            if begins:
                begun()
            if ends:
                raise ends
    assert left == [tmp_path]


def test_a_run_draws_its_report_when_its_lock_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(document(**TINY)))
    seen: list[bool] = []
    monkeypatch.setattr("runtime.run.reporting.leave", lambda run: seen.append((run.path / "run.lock").exists()))
    for words in (["--run-dir", "run"], ["--run-dir", "other", "--no-report"]):
        assert specc("run", "tiny.yaml", "--device", "cpu", *words, cwd=tmp_path).returncode == 0
    assert seen == [False]
    assert specc("resume", "run", "train.epochs=2", "--device", "cpu", cwd=tmp_path).returncode == 0
    assert seen == [False, False]
