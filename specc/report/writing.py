"""Writes reports: the page, and its figures as files for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..pictures.drawing import to_svg
from ..system import files
from .page import html, in_any_script, page_of
from .subject import subjects

NAME = "report.html"  # in a run directory
MOST = 1 << 26  # bytes: a page is a hundredth of that


def report(folders: Sequence[Path], output: Path | None = None, svg: Path | None = None) -> list[Path]:
    """Write what there is to say of some runs; by default into the directory of the one that it is about.

    Says what was written. `OSError` where a file cannot be; nothing but a regular file is replaced.
    """
    found = subjects(folders)
    page = page_of(found)
    written = [output or place_of(folders)]
    put(written[0], html(page))
    if svg is not None:
        svg.mkdir(parents=True, exist_ok=True)
        for figure in page.figures:
            path = svg / f"{figure.name}.svg"
            with in_any_script():
                put(path, to_svg(figure.wide))
            written.append(path)
    return written


def place_of(folders: Sequence[Path]) -> Path:
    """Where a report is written that nobody gave a name: of several runs, here."""
    return folders[0] / NAME if len(folders) == 1 else Path(NAME)


def put(path: Path, text: str) -> None:
    """Write a file as a whole, in the place of a regular file or of nothing: never through a link."""
    files.check_replaceable(path)
    with files.replacing(path) as temporary:
        files.create(temporary, text.encode())
