"""The checks notice what they are there for: each mistake is made on a small page that is fine without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from .checks import CHECKS, complaints
from .chromium import NAMES, SETTINGS, Setting, found, visit

GOOD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A page</title>
<style>
:root { color-scheme: light dark; background: Canvas; }
body { margin: 1rem; font: 16px/1.5 sans-serif; }
svg { width: 100%; height: auto; display: block; }
text { font: 12px sans-serif; fill: CanvasText; }
.wide { overflow-x: auto; } .wide div { width: 3000px; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; } .row > :not(.hint) { min-height: 24px; }
.hint { position: absolute; width: 1px; height: 1px; overflow: hidden; }
#note { color: #767676; background: #fff; }
</style>
</head>
<body>
<main>
<h1>A page</h1>
<h2>What it shows</h2>
<p id="note">A paragraph of text.</p>
<p class="row"><a href="#note">a link</a> <button>a button</button> <label>name <input></label>
<span class="hint">for readers</span></p>
<details><summary>more</summary><p><a href="#note">another link</a></p></details>
<img alt="a dot" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">
<div class="wide" tabindex="0" role="region" aria-label="wide"><div>a wide thing</div></div>
<figure>
<svg viewBox="0 0 320 100" role="img" aria-label="three bars">
<g><rect x="0" y="0" width="320" height="100" fill="#123"/></g>
<g><title>one</title><rect x="10" y="20" width="30" height="60" fill="#fff"/></g>
<text x="12" y="40" style="fill:#333">one</text>
<text x="60" y="40" style="fill:#fff">two</text><text x="100" y="40" style="fill:#fff">three</text>
<path d="M10 90 L300 90" stroke="#fff" fill="none"><title>a line through two</title></path>
</svg>
<table><thead><tr><th>what</th><th>how many</th></tr></thead>
<tbody><tr><td>one</td><td>1</td></tr><tr><td>two</td><td>2</td></tr><tr><td>three</td><td>3</td></tr></tbody></table>
</figure>
</main>
</body>
</html>
"""
NARROW = SETTINGS[0]
SVG = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 640 99'><text style='font: 10px sans-serif'/></svg>"
FILE = f'<img alt="a file" width="320" src="data:image/svg+xml,{SVG}">'

# What is changed, into what, whose check complains, and of what.
MISTAKES = {
    "a wide element": ("<h2>", '<div style="width: 500px">wide</div><h2>', "layout", "the page is "),
    "a long word": ("A paragraph", "A paragraph" + "x" * 90, "layout", "the page is "),
    "an element out on the left": ("<h2>", '<p style="margin-left: -40px">wide</p><h2>', "layout", "sticks out"),
    "a cut element": (
        '<div class="wide"', '<div class="wide" style="overflow: hidden"', "layout", "is cut off by",
    ),
    "a shortened text": (
        "<h2>", '<p style="overflow: hidden; height: 1em">two <br> lines</p><h2>', "layout", "not show all of its text",
    ),
    "a pale text": ("#767676", "#7a7a7a", "accessible", "color-contrast"),
    "a skipped heading": ("h2>", "h4>", "accessible", "heading-order"),
    "an image without alternative": ('alt="a dot" ', "", "accessible", "image-alt"),
    "a page without language": (' lang="en"', "", "accessible", "html-has-lang"),
    "a page without title": ("<title>A page</title>", "", "accessible", "document-title"),
    "a nameless field": ("name <input>", "<input>", "accessible", "label"),
    "a pale word": ("#767676", "#7a7a7a", "contrast", "has a contrast of 4.29"),
    "a pale text on a bar": ("fill:#333", "fill:#aaa", "contrast", '"one" has a contrast of 2.3'),
    "a dark text on a dark ground": (
        '"fill:#fff">two', '"fill:#345">two', "contrast", '"two" has a contrast of ',
    ),
    "a text that one nearly sees through": (
        '"fill:#fff">two', '"fill:#fff;opacity:.3">two', "contrast", '"two" has a contrast of ',
    ),
    "a text in the page's colour only": ('fill="#123"', 'fill="none"', "contrast", '"two" has a contrast of 1.00'),
    "a drawing without a name": (' aria-label="three bars"', "", "figures", "has no name"),
    "a drawing that nobody says is one": (' role="img"', "", "figures", "neither"),
    "a bar without height": ('width="30" height="60"', 'width="0" height="0"', "figures", "is not to be seen"),
    "a bar beside its drawing": ('rect x="10"', 'rect x="300"', "figures", '"one" sticks out of its drawing'),
    "a line that ends too early": ("L300 90", "", "figures", "shows 2 of the 3 rows"),
    "a figure without a drawing": ("<figure>", "<figure></figure><figure>", "figures", "shows nothing"),
    "small letters": ('y="40" style="fill:#333"', 'y="40" style="fill:#333;font-size:8px"', "figures", "pixels high"),
    "small letters in a file": ('<img alt="a dot"', f'{FILE}<img alt="a dot"', "figures", "are 5.0 pixels"),
    "a text beside its drawing": ('x="60"', 'x="306"', "figures", "sticks out of its drawing"),
    "a text over another": ('x="100"', 'x="70"', "figures", "is written over"),
    "a control without the tabulator": (
        '<a href="#note">a link', '<a onfocus="this.blur()" href="#note">a link', "keyboard", "is not reached",
    ),
    "an invisible focus": (
        "<button>", '<button style="outline: none">', "keyboard", "does not show that it has the focus",
    ),
    "a script's error": ("</main>", "<script>nothing.there()</script></main>", "console", "nothing is not defined"),
    "a warning": ("</main>", "<script>console.warn('old')</script></main>", "console", "warning: old"),
    "a missing file": ("</main>", '<img alt="gone" src="gone.png"></main>', "requests", "gone.png"),
    "a font from outside": (
        "<style>", "<style>@import 'https://fonts.example.org/a.css';", "requests", "from outside: https://fonts.example.org",
    ),
}  # fmt: skip


def written(page: str, folder: Path) -> str:
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_good_page_has_no_complaints(browser: Page, tmp_path: Path, setting: Setting) -> None:
    with visit(browser, written(GOOD, tmp_path), setting) as here:
        assert complaints(here) == []


def together() -> dict[str, list[str]]:
    """axe-core takes long to load, so that what it has to notice is on one page; every other mistake is on its own."""
    rules = [name for name, (_, _, check, _) in MISTAKES.items() if check == "accessible"]
    return {name: [name] for name in MISTAKES if name not in rules} | {"what axe-core notices": rules}


@pytest.mark.parametrize("name", together())
def test_a_mistake_is_noticed(browser: Page, tmp_path: Path, name: str) -> None:
    page, mistakes = GOOD, [MISTAKES[each] for each in together()[name]]
    for old, new, _, _ in mistakes:
        assert old in page
        page = page.replace(old, new)
    with visit(browser, written(page, tmp_path), NARROW) as here:
        found = CHECKS[mistakes[0][2]](here)
    assert [told for _, _, _, told in mistakes if not any(told in each for each in found)] == [], found


def test_there_is_a_mistake_for_every_check() -> None:
    assert {check for _, _, check, _ in MISTAKES.values()} == set(CHECKS)


def test_an_empty_figure_is_noticed(browser: Page, tmp_path: Path) -> None:
    start, end = GOOD.index("<g>"), GOOD.index("</svg>")
    with visit(browser, written(GOOD[:start] + GOOD[end:], tmp_path), NARROW) as here:
        assert any("is empty" in each for each in CHECKS["figures"](here))


@pytest.mark.parametrize("name", NAMES)
def test_any_chromium_on_the_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found() is None
    (tmp_path / name).touch(mode=0o755)
    assert found() == str(tmp_path / name)
