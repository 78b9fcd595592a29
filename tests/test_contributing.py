"""The map of the house in CONTRIBUTING.md is that of the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def rooms() -> list[list[str]]:
    """The files and folders of every row, those of `specc/` without their parent."""
    rows = re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE)
    return [[name.removeprefix("specc/") for name in re.findall(r"`([^`]+)`", row)] for row in rows]


FLOOR = {name: number for number, row in enumerate(rooms()) for name in row}


def floor(module: list[str]) -> int | None:
    """The row of a module below `specc`, by the longest name that the map has of it."""
    path = "/".join(module)
    known = [name for name in FLOOR if f"{path}/".startswith(name) or path == name.removesuffix(".py")]
    return FLOOR[max(known, key=len)] if known else None


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(node: ast.AST, package: list[str]) -> Iterator[list[str]]:
    """What a module of `specc` imports of `specc` when it is imported itself, as parts of names below `specc`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) or for_types_only(child):
            continue
        if isinstance(child, ast.ImportFrom):
            base = package[: len(package) + 1 - child.level] if child.level else []
            parts = [*base, *(child.module or "").split(".")] if child.module else base
            for name in [parts] if child.module else [[*parts, alias.name] for alias in child.names]:
                if name[:1] == ["specc"]:
                    yield name[1:]
        yield from imported(child, package)


def test_every_room_is_on_the_map() -> None:
    there = {path.name + "/" * path.is_dir() for path in (ROOT / "specc").iterdir() if path.name[:2] != "__"}
    on_the_map = {name.partition("/")[0] + "/" * ("/" in name) for name in FLOOR} - {"runtime/"}
    assert on_the_map == there - {"py.typed"}


def test_no_room_imports_from_one_further_down() -> None:
    wrong = []
    for path in sorted((ROOT / "specc").rglob("*.py")):
        own = list(path.relative_to(ROOT / "specc").with_suffix("").parts)
        here = floor(own)
        for name in imported(ast.parse(path.read_text(encoding="utf-8")), ["specc", *own[:-1]]):
            there = floor(name)
            if here is not None and there is not None and there > here:
                wrong.append(f"{'/'.join(own)} imports {'.'.join(name)}")
    assert wrong == []
