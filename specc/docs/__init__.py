"""The generated pages of the documentation, not those written by hand: `python -m specc.docs [--check]`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from specc.docs.command_line import command_line
from specc.docs.figures import with_figures
from specc.docs.messages import formats, gallery
from specc.docs.python import python_page
from specc.docs.reference import reference
from specc.reference.language import knob_table
from specc.spec.json_schema import json_schema

ROOT = Path(__file__).parent.parent.parent  # of the repository: the documentation is not part of the package


def memory() -> str:
    """The page about memory, which is written by hand but for its table of knobs."""
    text = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    return re.sub(r"(?<=<!-- knobs: python -m specc.docs -->\n)(\|.*\n)*", lambda _: knob_table(), text)


def tutorial() -> str:
    """The tutorial for a class, which is written by hand but for the figures of its runs."""
    return with_figures((ROOT / "docs" / LESSON).read_text(encoding="utf-8"), ROOT / "docs")


LESSON = "tutorials/local-learning.md"
PARTLY = ("memory.md", LESSON)  # written by hand but for some tables
PAGES: Mapping[str, Callable[[], str]] = {
    "spec.schema.json": lambda: json.dumps(json_schema(), indent=2, allow_nan=False) + "\n",
    "spec-reference.md": reference,
    "memory.md": memory,
    LESSON: tutorial,
    "errors.md": lambda: gallery(ROOT / "specs" / "quickstart.yaml"),
    "diagnostics.md": formats,
    "cli.md": command_line,
    "python.md": lambda: python_page(ROOT),
}


def is_checkout(root: Path = ROOT) -> bool:
    """Whether there is something to document here: an installed package has neither pages nor specs beside it."""
    return (root / "docs").is_dir() and (root / "specs" / "quickstart.yaml").is_file()


def stale(folder: Path) -> list[str]:
    """The pages in `folder` that differ from what would be written now."""
    return [name for name, page in PAGES.items() if _read(folder / name) != page()]


def write(folder: Path) -> list[str]:
    """Write the pages that are not current, and say which."""
    names = stale(folder)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(PAGES[name](), encoding="utf-8")
    return names


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
