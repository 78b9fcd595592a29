"""`specc/` plans without torch, and knows nothing of `runtime/` until a command needs it; no circles anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import networkx as nx

from .import_graph import Import, imports, own

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "runtime"}
LAZY = {
    "specc.commands": {"runtime"},
}  # what the modules of a room may import inside a function
LATE = {
    "timm", "transformers",
    "torch", "torchvision", "networkx", "rich", "ruamel", "PIL", "numpy", "scipy", "sklearn", "matplotlib",
    "specc.fit.recomputation",  # numpy
    "specc.fit.search",  # numpy
    "specc.report.writing",  # jinja2, pygments
    "webdataset",  # an extra
    "platformdirs",  # and not installed where `make gpu` runs
}  # fmt: skip  # slow to load, and not always needed
ENTRANCES = ("specc.commands", "specc.completion")  # beside specc itself: here a call loads no more of it than it needs


def top(module: str) -> str:
    return module.partition(".")[0]


def of(module: str, rooms: set[str] | tuple[str, ...]) -> bool:
    """Whether a module is one of these rooms, or in one of them."""
    return any(f"{module}.".startswith(f"{room}.") for room in rooms)


def test_specc_imports_nothing_heavy() -> None:
    found = [each for each in imports() if top(each.importer) == "specc" and top(each.imported) in HEAVY]
    wrong = [each for each in found if each.when == "module" or (each.when == "function" and not _may(each))]
    assert list(map(str, wrong)) == []


def _may(found: Import) -> bool:
    """A command may ask what runs, and `specc.trace` torch, of which it is handed a module."""
    if found == Import("specc", "runtime.trace.given", "function"):
        return True
    return any(top(found.imported) in names for room, names in LAZY.items() if of(found.importer, {room}))


def test_runtime_reads_the_plan_and_not_the_compiler() -> None:
    assert [
        str(each) for each in own() if top(each.importer) == "runtime" and of(each.imported, {"specc.compiler"})
    ] == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = nx.DiGraph((each.importer, each.imported) for each in own())
    circles = [circle for circle in nx.strongly_connected_components(graph) if len(circle) > 1]
    assert [sorted(circle) for circle in circles] == []


def test_what_is_imported_in_a_function_is_slow_to_load() -> None:
    late = [each for each in imports() if each.when == "function" and not of(each.imported, LATE)]
    wrong = [each for each in late if each.importer != "specc" and not of(each.importer, ENTRANCES)]
    assert [str(each) for each in wrong] == []


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


HOUSE = {
    "specc/__init__.py": "",
    "specc/a.py": "import typing\nif TYPE_CHECKING:\n    from .b import c\ndef f():\n    import torch.nn",
    "specc/b/__init__.py": "from . import c\nfrom .c import name\nimport os",
    "specc/b/c.py": "def f():\n    from ..a import f as g\nclass C:\n    from specc import b",
}


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert set(imports(tmp_path)) >= {
        Import("specc.a", "specc.b.c", "types"),
        Import("specc.a", "torch.nn", "function"),
        Import("specc.b", "specc.b.c", "module"),
        Import("specc.b.c", "specc.a", "function"),
        Import("specc.b.c", "specc.b", "module"),
    }
    assert {each.imported for each in imports(tmp_path)} - {each.imported for each in own(tmp_path)} == {
        "os", "torch.nn", "typing"
    }  # fmt: skip
