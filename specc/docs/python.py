"""The page about specc from Python, from the source of what is public: nothing is imported for it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from specc.docs.pages import filled

Documented = ast.FunctionDef | ast.ClassDef

# What the page shows, in order: a file, and the names in it.
SPECC: Mapping[str, tuple[str, ...]] = {
    "specc/__init__.py": ("load", "compile", "trace", "estimate"),
    "specc/graph/traced/backbone.py": ("Backbone",),
    "specc/estimating/__init__.py": ("Estimate", "Advice"),
    "specc/plan/__init__.py": ("Plan",),
    "specc/diagnostics/__init__.py": ("SpecError", "Diagnostic"),
}
RUNTIME: Mapping[str, tuple[str, ...]] = {
    "runtime/engine/session.py": ("Session", "Step"),
    "runtime/wrapping.py": ("wrap", "Wrapped"),
    "runtime/run/from_python.py": ("train", "resume", "evaluate", "ask"),
}


def python_page(root: Path) -> str:
    """The page as Markdown."""
    compiler = "\n".join(_sections(root, "specc", SPECC))
    return filled("python.md", compiler=compiler, runtime="\n".join(_sections(root, "runtime", RUNTIME)))


def _sections(root: Path, package: str, wanted: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for file, names in wanted.items():
        for name in names:
            found = definition(root, root / file, name)
            yield class_section(package, found) if isinstance(found, ast.ClassDef) else function_section(package, found)


def definition(root: Path, path: Path, name: str) -> Documented:
    """Where a name is defined, by following what the file imports it from.

    Raises `LookupError` where it is not: a page about what is no longer there shall not be written.
    """
    body = ast.parse(path.read_text(encoding="utf-8")).body
    own = next((node for node in body if isinstance(node, Documented) and node.name == name), None)
    if own is not None:
        return own
    for node in body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            target = (path.parents[node.level - 1] if node.level else root).joinpath(*(node.module or "").split("."))
            return definition(root, target / "__init__.py" if target.is_dir() else target.with_suffix(".py"), name)
    raise LookupError(f"{path} has no `{name}`")


def function_section(package: str, node: ast.FunctionDef) -> str:
    """A function."""
    return f"### `{package}.{node.name}`\n\n```text\n{signature(node)}\n```\n\n{said(node)}\n"


def class_section(package: str, node: ast.ClassDef) -> str:
    """A class: what it is, how one is made, its attributes, its methods."""
    parts = [f"### `{package}.{node.name}`\n", said(node)]
    functions = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    parts += [f"\n```text\n{signature(each, node.name)}\n```" for each in functions if each.name == "__init__"]
    rows = [f"| `{name}` | `{kind}` |" for name, kind in _fields(node)]
    parts += ["\n| attribute | type |\n|---|---|\n" + "\n".join(rows)] if rows else []
    public = [each for each in functions if not each.name.startswith("_") and ast.get_docstring(each)]
    rows = [f"| `{_called(each)}` | {' '.join(said(each).split())} |" for each in public]
    parts += ["\n| | |\n|---|---|\n" + "\n".join(row.replace(" | None", " \\| None") for row in rows)] if rows else []
    return "\n".join(parts) + "\n"


def signature(node: ast.FunctionDef, name: str | None = None) -> str:
    """How it is called, on as many lines as it takes.

    >>> signature(ast.parse("def f(a: int, *, b: str = 'x') -> None: ...").body[0])
    "f(a: int, *, b: str = 'x') -> None"
    """
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^(self|cls)(, |$)", "", arguments)
    end = f" -> {ast.unparse(node.returns)}" if node.returns and name is None else ""
    line = f"{name or node.name}({arguments}){end}"
    return (
        line
        if len(line) < 90
        else line.replace("(", "(\n    ", 1).replace(", ", ",\n    ").replace(f"){end}", f",\n){end}")
    )


def said(node: Documented) -> str:
    """What its docstring says, in Markdown."""
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    return text.replace("``", "`").partition("\n>>>")[0].rstrip()


def _called(node: ast.FunctionDef) -> str:
    kinds = {ast.unparse(each) for each in node.decorator_list}
    return (
        node.name
        if kinds & {"property", "cached_property"}
        else signature(node).replace("\n    ", " ").replace("( ", "(")
    )


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not each.target.id.startswith("_"):
            yield each.target.id, ast.unparse(each.annotation).replace("|", "\\|")
