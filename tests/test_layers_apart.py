"""`specc/` plans without torch, and knows nothing of `runtime/` until a command needs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "runtime"}
LAZY = {
    "plans.py": {"runtime"},
    "runs.py": {"runtime"},
    "shared.py": {"runtime"},
    "torchvision.py": {"torch", "torchvision"},
    "measuring.py": {"torch"},
}  # what a file may import inside a function
FILES = sorted((ROOT / "specc").rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    """The top-level packages that a piece of code imports by absolute name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def functions(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_specc_imports_nothing_heavy(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not for_types_only(node)]
    lazy = [name for function in functions(tree) for name in imports(function)]
    outside = list(imports(tree))
    for name in lazy:
        outside.remove(name)
    assert HEAVY & set(outside) == set()
    assert HEAVY & set(lazy) <= LAZY.get(path.name, set())


def test_runtime_reads_the_plan_and_not_the_compiler() -> None:
    reads = {
        (path.name, node.module)
        for path in (ROOT / "runtime").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("specc.compiler")
    }
    assert reads == set()


COMPILES = """
import sys
import specc
before = set(sys.modules)
assert not before & {"torch", "pydantic", "ruamel", "networkx", "rich"}, "importing specc is instant"
plan = specc.compile(sys.argv[1])
assert type(plan).from_json(plan.to_json()) == plan
assert len(plan.units) == 7
assert not set(sys.modules) & {"torch", "torchvision", "runtime"}
"""


def test_compiling_loads_no_torch() -> None:
    spec = ROOT / "specs" / "quickstart.yaml"
    result = subprocess.run(
        [sys.executable, "-c", COMPILES, spec], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
