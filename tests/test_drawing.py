"""Pictures: the same bytes twice, described, in colours that have names, which everybody can tell from the paper."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

import specc
from specc.pictures.drawing import Picture, Tips, css, drawn, new_figure, text_width, to_inline, to_svg
from specc.pictures.palette import BY_LIGHT, CATEGORIES, GRID, INK, MUTED, PANEL, PAPER, ROLES, SERIES, WARN, category

SVG = "{http://www.w3.org/2000/svg}"


@drawn
def picture(title: str = "a < b & c", colour: str = SERIES[0].light) -> Picture:
    """Two areas, text that is no formula, and a point that says something."""
    figure, tips = new_figure(340, 200), Tips()
    axes = figure.add_subplot()
    axes.fill_between([0, 1, 2], [1, 2, 1], color=colour, linewidth=0)
    (point,) = axes.plot([1], [2], "o", color=WARN.light)
    tips.add(point, "the peak: 2 < 3")
    axes.text(1, 1.5, "layer $x_1$ & more", ha="center", color=INK.light)
    return Picture(title, "it goes up & down", figure, tips)


def test_the_same_picture_has_the_same_bytes() -> None:
    one = picture()
    assert to_svg(one) == to_svg(one) == to_svg(picture())
    assert to_inline(one) == to_inline(one) == to_inline(picture())


def test_a_file_is_xml_that_says_what_it_shows_in_text_that_stays_text() -> None:
    root = ElementTree.fromstring(to_svg(picture()).encode())
    assert (root.tag, root.get("width"), root.get("viewBox"), root.get("role")) == (
        f"{SVG}svg", "340pt", "0 0 340 200", "img"
    )  # fmt: skip
    assert [(child.tag, child.text) for child in root[:2]] == [
        (f"{SVG}title", "a < b & c"), (f"{SVG}desc", "it goes up & down")
    ]  # fmt: skip
    assert root.get("aria-labelledby", "").split() == [child.get("id") for child in root[:2]]
    assert "layer $x_1$ & more" in [text.text for text in root.iter(f"{SVG}text")]
    assert "the peak: 2 < 3" in [title.text for title in root.iter(f"{SVG}title")]
    assert "<metadata" not in to_svg(picture())


def test_a_part_of_a_page_has_no_colour_and_no_width_of_its_own() -> None:
    text = to_inline(picture())
    root = ElementTree.fromstring(text)
    assert root.get("width") is root.get("height") is None
    assert root.get("viewBox") == "0 0 340 200"
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?=[;\"])", re.sub(r'(xlink:href="|url\()#\w+', "", text))
    assert {SERIES[0].variable, INK.variable, WARN.variable, GRID.variable, MUTED.variable} <= set(
        re.findall(r"var\((--[\w-]+)", text)
    )
    assert PAPER.light in to_svg(picture())
    assert PAPER.variable not in text, "the paper is the page's"
    assert "DejaVu" not in text + to_svg(picture())


def test_a_colour_without_a_name_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="#123456 is no colour of the palette"):
        to_inline(picture(colour="#123456"))


def test_two_pictures_on_one_page_share_no_id_and_refer_to_their_own() -> None:
    texts = [to_inline(picture()), to_inline(picture("another"))]
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in texts]
    assert ids[0]
    assert not ids[0] & ids[1]
    for own, text in zip(ids, texts, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= own


def test_a_matplotlibrc_changes_nothing() -> None:
    expected = to_svg(picture())
    with matplotlib.rc_context({"text.usetex": True, "svg.fonttype": "path", "font.size": 30, "axes.grid": False}):
        assert to_svg(picture()) == expected


def test_a_page_has_every_colour_in_light_and_in_dark() -> None:
    light, system, dark, default = css().splitlines()
    for colour in ROLES:
        assert f"{colour.variable}:{colour.light}" in light
        assert f"{colour.variable}:{colour.light}" in default
        assert f"{colour.variable}:{colour.dark}" in system
        assert f"{colour.variable}:{colour.dark}" in dark
    assert "prefers-color-scheme: dark" in system


def test_no_two_roles_have_one_colour() -> None:
    assert len({colour.role for colour in ROLES}) == len(BY_LIGHT) == len(ROLES)


def _linear(colour: str) -> list[float]:
    values = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def contrast(one: str, other: str) -> float:
    """WCAG's."""
    bright, dark = sorted((_luminance(_linear(one)), _luminance(_linear(other))), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(rgb: list[float]) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("ground", [PAPER, PANEL], ids=lambda colour: colour.role)
def test_everything_stands_out_from_the_paper(mode: str, ground: object) -> None:
    low = {
        colour.role: found
        for colour in ROLES
        if colour not in (PAPER, PANEL, GRID)
        and (found := contrast(getattr(colour, mode), getattr(ground, mode)))
        < (4.5 if colour in (INK, MUTED, WARN, *SERIES) else 3.0)  # WCAG AA: text, and shapes
    }
    assert low == {}


SEES = {  # Viénot, Brettel, Mollon (1999), in linear RGB
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "no green": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
}


def _lab(colour: str, eyes: str) -> list[float]:
    seen = [max(sum(m * v for m, v in zip(row, _linear(colour), strict=True)), 0.0) for row in SEES[eyes]]
    white = (0.95047, 1.0, 1.08883)
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = (sum(m * v for m, v in zip(row, seen, strict=True)) / w for row, w in zip(to_xyz, white, strict=True))
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def apart(one: str, other: str, eyes: str) -> float:
    """How different two colours look (CIE 1976); 2 is just to be seen."""
    pairs = zip(_lab(one, eyes), _lab(other, eyes), strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs) ** 0.5)


@pytest.mark.parametrize("eyes", SEES)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_series_and_what_lies_upon_each_other_look_different_to_all_eyes(mode: str, eyes: str) -> None:
    moving = [category(name) for name in ("inputs", "activations", "gradients of activations", "gradients")]
    pairs = [*combinations(SERIES[:4], 2), *combinations(moving, 2)]
    found = {(a.role, b.role): apart(getattr(a, mode), getattr(b, mode), eyes) for a, b in pairs}
    assert {pair: distance for pair, distance in found.items() if distance < 15} == {}


def test_every_category_that_is_predicted_has_a_colour_and_no_other_has_one() -> None:
    spec = Path(__file__).parents[1] / "specs" / "man_fashion_mnist.yaml"
    settings = ["train.precision=bf16", "train.weight_average={}", "train.micro_batches=2"]
    plan = specc.compile(spec, settings, "cuda")
    assert {name for moment in plan.memory.timeline for name in moment.categories} == set(CATEGORIES)


def test_text_takes_the_room_that_was_measured() -> None:
    assert text_width("iiii", 10) < text_width("WWWW", 10) < text_width("WWWW", 10, bold=True)
    assert text_width("$x$", 10) == pytest.approx(text_width("$", 10) * 2 + text_width("x", 10), rel=0.1)


def test_nothing_of_matplotlib_is_loaded_before_something_is_drawn() -> None:
    code = "import sys, specc.pictures.drawing; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
