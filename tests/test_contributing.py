"""The map of the house in CONTRIBUTING.md is that of the house."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .import_graph import PACKAGES, modules, own

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

TOO_LONG: set[str] = set()
LONGEST = 300


def rooms() -> list[list[str]]:
    """The modules and packages of every row; a name without a package's is one of the package before it."""
    rows = re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE)
    return [[_dotted(name, row) for name in re.findall(r"`([^`]+)`", row)] for row in rows]


def _dotted(name: str, row: str) -> str:
    parts = name.strip("/").removesuffix(".py").split("/")
    return ".".join(parts if parts[0] in PACKAGES else [row[1:].partition("/")[0], *parts])


FLOOR = {name: number for number, row in enumerate(rooms()) for name in row}


def floor(module: str) -> int | None:
    """The row of a module, by the longest name that the map has of it; the packages themselves have none."""
    known = [name for name in FLOOR if f"{module}.".startswith(f"{name}.")]
    return FLOOR[max(known, key=len)] if known else None


def test_every_room_is_on_the_map() -> None:
    there = {
        f"{package}.{path.stem}"
        for package in PACKAGES
        for path in (ROOT / package).iterdir()
        if path.name[:2] != "__" and path.suffix in ("", ".py")
    }
    assert {".".join(name.split(".")[:2]) for name in FLOOR} == there


def test_no_room_imports_from_one_further_down() -> None:
    """Not in a function either, and not for the type checker alone."""
    floors = ((each, floor(each.importer), floor(each.imported)) for each in own())
    wrong = [each for each, here, there in floors if here is not None and there is not None and there > here]
    assert [str(each) for each in wrong] == []


def test_every_room_says_what_belongs_in_it_and_what_does_not() -> None:
    said = {name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            for name, path in modules().items() if name in FLOOR and path.name == "__init__.py"}  # fmt: skip
    first = {name: text.partition("\n\n")[0] for name, text in said.items()}
    assert [name for name, text in first.items() if not re.search(r"\b(not|no|none|nothing|never)\b", text, re.I)] == []


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in modules().items()}
    assert [name for name, count in lines.items() if count > LONGEST and name not in TOO_LONG] == []
