"""JSON that every reader takes: Python alone writes and reads `NaN` and `Infinity`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from specc.checking import check_text

ROOT = Path(__file__).parents[1]
LAYERS = """specc: 1
name: x
data: {dataset: digits}
backbone:
  layers:
    - {name: a, op: conv, out: 4, k: 3}
    - {name: b, %s}
    - {name: c, op: global_avg_pool}
    - {name: d, op: linear, out: 10}
split: {blocks: 1}
"""


def calls(path: Path) -> Iterator[ast.Call]:
    """All that writes JSON, but for what is read at once: by a validator that has its own word on such numbers."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    at_once = {
        id(argument)
        for node in nodes
        if ast.unparse(node.func).endswith(("validate_json", "loads"))
        for argument in node.args
    }
    for node in nodes:
        if ast.unparse(node.func) in ("json.dumps", "json.dump") and id(node) not in at_once:
            yield node


def test_nothing_writes_a_number_that_is_none() -> None:
    files = [path for room in ("specc", "runtime", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): list(calls(path)) for path in files}
    assert found["runtime/run/rundir.py"], "or this test looks for the wrong thing"
    lax = {
        f"{name}:{call.lineno}"
        for name, each in found.items()
        for call in each
        if "allow_nan=False" not in {ast.unparse(k) for k in call.keywords}
    }
    assert lax == set()


@pytest.mark.parametrize("layer", ["op: batch_norm, eps: .inf", "op: leaky_relu, slope: .inf", "op: dropout, p: .nan"])
def test_an_argument_of_an_op_is_a_number(layer: str) -> None:
    (found,) = check_text(LAYERS % layer).diagnostics
    assert (found.code, found.span and found.span.line) == ("SPC206", 7)
