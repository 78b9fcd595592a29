"""Which module of `specc` and `runtime` imports what, and when: read from the source, nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("specc", "runtime")

When = Literal["module", "function", "types"]  # as it is imported itself, in a call, or for the type checker alone


class Import(NamedTuple):
    """One module that another one imports."""

    importer: str
    imported: str
    when: When

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


@cache
def modules(root: Path = ROOT) -> dict[str, Path]:
    """The file of every module, by its dotted name."""
    files = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return {_name(path.relative_to(root)): path for path in files}


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(root: Path = ROOT) -> tuple[Import, ...]:
    """All of them; a name that is a module counts as that module, and not as its package."""
    known = modules(root)
    found = (
        (name, path, _found(ast.parse(path.read_text(encoding="utf-8")), "module")) for name, path in known.items()
    )
    return tuple(
        Import(name, imported, when)
        for name, path, nodes in found
        for node, when in nodes
        for imported in _imported(node, name if path.name == "__init__.py" else name.rpartition(".")[0], known)
    )


def own(root: Path = ROOT) -> Iterator[Import]:
    """Those of `specc` and `runtime` themselves."""
    return (each for each in imports(root) if each.imported in modules(root) and each.imported != each.importer)


def _found(node: ast.AST, when: When) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        yield from _found(child, _moment(child, when))


def _moment(node: ast.AST, when: When) -> When:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return "types"
    return "function" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else when


def _imported(node: ast.Import | ast.ImportFrom, package: str, known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = package.rsplit(".", node.level - 1)[0] if node.level else ""
    module = ".".join(filter(None, [above, node.module]))
    yield from dict.fromkeys(name if (name := f"{module}.{alias.name}") in known else module for alias in node.names)
