"""A plan measured in a process of its own, so that no plan leaves anything to the next.

The plan goes in on stdin; one JSON document comes out, on the last line: what was measured, or what went wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from specc.plan import Plan

from ..engine.device import first_line, ran_out
from ..errors import RunError


def asked(module: str, words: Sequence[str], plan: Plan, timeout: float) -> dict[str, Any]:
    """What `python -m module words` answers on a plan; raises `RunError` with what went wrong there."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *words],
            input=plan.to_json(), capture_output=True, text=True, check=False, timeout=timeout,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunError(f"not done after {timeout:.0f} seconds") from None
    answer = _last_document(done.stdout)
    if "error" in answer:
        raise RunError(answer["error"])
    if not answer:
        raise RunError(_why_it_ended(done))
    return answer


def _last_document(output: str) -> dict[str, Any]:
    """What libraries print comes before it."""
    lines = output.strip().splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return found


def _why_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    """Why a process may have ended without an answer."""
    if done.returncode < 0:
        killed = " (the machine may have run out of memory)" if done.returncode == -9 else ""
        return f"ended by signal {-done.returncode}{killed}"
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"ended with exit code {done.returncode} and without a word"


def answer(work: Callable[[Plan], dict[str, Any]]) -> None:
    """The other side of `asked`: what a piece of work finds of the plan on stdin."""
    try:
        found = work(Plan.from_json(sys.stdin.read()))
    except RunError as error:
        found = {"error": str(error)}
    except RuntimeError as error:
        found = {"error": ("out of memory: " if ran_out(error) else "") + first_line(error)}
    print(json.dumps(found, allow_nan=False))
