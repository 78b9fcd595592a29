"""``python -m tests.browser shots DIR [NAME...]`` writes what the pages look like, at all settings and printed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from .chromium import NAMES, SETTINGS, Setting, chromium, found, visit
from .pages import DOCUMENTED, PAGES, Shelf

PAPER = Setting(794, "light")  # A4 at 96 dots an inch


def shoot(page: Page, address: str, folder: Path, name: str) -> None:
    """A page at every setting, and on paper."""
    for setting in SETTINGS:
        with visit(page, address, setting):
            page.screenshot(path=folder / f"{name}-{setting}.png", full_page=True)
    with visit(page, address, PAPER):
        page.emulate_media(media="print")
        page.screenshot(path=folder / f"{name}-print.png", full_page=True)
        page.emulate_media(media="screen")


def main() -> int:
    """Write them, and say where."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser")
    parser.add_argument("what", choices=["shots"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="pages, or how their names begin; all by default")
    given = parser.parse_args()
    path = found()
    if path is None:
        parser.error(f"no browser on the PATH: {', '.join(NAMES)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = [n for n in (*PAGES, *DOCUMENTED) if not given.names or n.startswith(tuple(given.names))]
    with TemporaryDirectory() as folder, chromium(path) as page, Shelf(Path(folder)) as shelf:
        for name in chosen:
            shoot(page, shelf.address(name), given.folder, name.replace("/", "-"))
            print(given.folder / f"{name.replace('/', '-')}-*.png", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
