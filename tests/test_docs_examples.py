"""Every command and every spec of the documentation does what its page says, in an empty folder, page by page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from specc import docs
from specc.docs.examples.alike import alike
from specc.docs.examples.fences import fences
from specc.docs.examples.following import commands_of, follow
from specc.docs.examples.pages import Page, followed, pages, wrong_specs
from specc.docs.examples.pictures import dark, made, words
from specc.docs.examples.typist import typist
from specc.pictures.palette import BY_LIGHT

ROOT = Path(__file__).parent.parent
FOUND = pages(ROOT, [name for name in docs.PAGES if name not in docs.PARTLY])
OWN = [pytest.param(page, id=page.name) for page in FOUND if page.held_by is None]
HELD = [pytest.param(page, id=page.name) for page in FOUND if page.held_by is not None]
REASONS = ("needs a GPU", "needs the network", "needs ImageNet", "minutes", "your own", "is this test", "only for")
LANGUAGES = {"console", "yaml", "python", "text", "ini", "json"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("page", [*OWN, *HELD])
def test_the_commands_of_a_page_do_what_it_shows(page: Page, tmp_path: Path, cache: Path) -> None:
    done = followed(page, tmp_path / "page", typist(cache))
    assert not done.wrong, "\n".join(["python -m specc.docs --examples " + page.name, *map(str, done.wrong)])
    drawn = dict(made(tmp_path / "page", page.pictures))
    for name, text in drawn.items():
        shown = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
        assert words(text), f"{name} says nothing"
        assert words(text) == words(shown), f"{name} is not current: python -m specc.docs --examples {page.name}"


@pytest.mark.parametrize("page", OWN)
def test_the_specs_of_a_page_are_right(page: Page, tmp_path: Path) -> None:
    assert list(wrong_specs(page, tmp_path)) == []


@pytest.mark.parametrize("page", HELD)
def test_a_page_that_is_held_elsewhere_is(page: Page) -> None:
    test = ROOT / str(page.held_by)
    assert Path(page.name).name in test.read_text(encoding="utf-8")


def test_every_picture_is_made_by_a_page() -> None:
    shown = {name for page in FOUND for name in page.pictures}
    kept = {path.name for path in (ROOT / "docs" / "pictures").glob("*")}
    assert kept == shown
    typed = "\n".join(fence.body for page in FOUND for fence in fences(page.text) if fence.language == "console")
    assert [name for name in shown if name.replace(".dark.svg", ".svg") not in typed] == []
    assert {name for name in shown if ".dark" in name} == {
        name.replace(".svg", ".dark.svg") for name in shown if ".dark" not in name
    }, "every picture is shown on light and on dark paper"


def test_a_picture_on_dark_paper_has_no_colour_of_light_paper() -> None:
    light = "".join(f"<path style='fill: {colour}'/>" for colour in BY_LIGHT)
    assert not set(re.findall("#[0-9a-f]{6}", dark(light))) & (set(BY_LIGHT) - {c.dark for c in BY_LIGHT.values()})
    assert dark(light) != light


def test_what_is_not_run_says_why_and_is_little() -> None:
    skipped = [(page.name, fence.line, why) for page in FOUND for fence, why in page.skipped]
    print(*(f"not run: {name}:{line}: {why}" for name, line, why in skipped), sep="\n")
    assert [each for each in skipped if not each[2].startswith(REASONS)] == []
    run = [
        command
        for page in FOUND
        for fence in fences(page.text)
        if fence.language == "console" and not fence.skipped
        for command in commands_of(fence.body)
    ]
    assert len(skipped) < 16 < len(run)


def test_blocks_are_of_a_language_that_is_held_to_something() -> None:
    used = {(page.name, fence.line, fence.language) for page in FOUND for fence in fences(page.text)}
    assert [each for each in sorted(used) if each[2] not in LANGUAGES] == []
    loose = [
        (page.name, fence.line) for page in FOUND for fence in fences(page.text)
        if fence.language == "text" and re.search(r"^\$ ", fence.body, re.M)
    ]  # fmt: skip
    assert loose == [], "commands are shown in `console` blocks"


# --- the mechanism itself ---

PAGE = """# A page

```text title="a.txt"
one
```

```console
$ show a.txt   # as it is
one
$ show a.txt
two
```

<!-- exit: 3 -->
```console
$ fail
...
```

<!-- no-run: needs a GPU -->
```console
$ specc run a.yaml --gpu 0
```
"""


def typed(line: str, folder: Path) -> tuple[int, str]:
    return (0, (folder / line.split()[1]).read_text()) if line.startswith("show") else (3, "what\never\n")


def test_a_page_is_followed_and_what_is_not_true_is_written_anew(tmp_path: Path) -> None:
    done = follow(PAGE, tmp_path, typed)
    assert [(step.command, step.right) for step in done.steps] == [
        ("show a.txt", True), ("show a.txt", False), ("fail", True)
    ]  # fmt: skip
    assert done.text == PAGE.replace("two", "one")
    assert follow(done.text, tmp_path, typed).wrong == []


def test_a_command_that_fails_is_wrong_whatever_it_says(tmp_path: Path) -> None:
    assert [step.command for step in follow(PAGE.replace("exit: 3", "exit: 1"), tmp_path, typed).wrong][1:] == ["fail"]


def test_what_is_measured_is_compared_by_its_form_alone() -> None:
    shown = "epoch  1/20  lr 0.01  train 23.12%  11.1 s  units 45 40\nresults in runs/a/20260101T120000Z-0a1b2c3d\n"
    said = "epoch  1/20  lr 0.003078  train 3.1%  1 min 2 s  units 9 10\nresults in runs/a/20271231T000000Z-ffff0000\n"
    assert alike(shown, said, computed=False)
    assert not alike(shown, said, computed=True)
    assert not alike(shown, said.replace("units", "blocks"), computed=False)
    assert not alike(shown, said + "warning: more\n", computed=False)


def test_three_dots_stand_for_lines_and_for_parts_of_one() -> None:
    assert alike("a\n...\nz", "a\nb\nc\nz", computed=True)
    assert alike("a ... z", "a b c z", computed=True)
    assert not alike("a\n...\nz", "a\nb\nc", computed=True)


# --- figures of what was trained ---


@pytest.mark.parametrize("file", ["digits.json", "exercises.json"])
def test_the_figures_of_the_lesson_are_of_the_specs_that_it_shows(file: str) -> None:
    page = (ROOT / "docs" / docs.LESSON).read_text(encoding="utf-8")
    shown = {fence.title: fence.body for fence in fences(page) if fence.title}
    held = json.loads((ROOT / "docs" / "tutorials" / file).read_text(encoding="utf-8"))
    assert {name: shown[name] for name in held["specs"]} == held["specs"]
    (rows,) = re.findall(rf"<!-- figures: tutorials/{file} -->\n((?:\|.*\n)+)", page)
    for name, *change in (run["spec"].split() for run in held["runs"]):
        assert name in held["specs"]
        assert f"| `{' '.join([name, *change])}` |" in rows
        assert " ".join(["$ specc run", name, "train.seed=SEED", *change]) + "\n" in page
