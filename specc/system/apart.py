"""A question to a program of specc's own that needs torch, in a process that ends with its answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_MOST = 300  # letters of what it says beside its answer


def answered(program: Sequence[str], question: bytes) -> tuple[bytes, str]:
    """The last line of what Python writes, started with these arguments; and the last line of its complaints."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *program], input=question, capture_output=True, check=False,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
    return (done.stdout.splitlines() or [b""])[-1], said[-1][:_MOST]
