"""Commands of specc in a process that finds other packages installed than this one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..documents import Document

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).parent / "package"

_DRIVER = """
import json, sys
from click.testing import CliRunner
from specc.cli import main
for command in json.load(sys.stdin):
    result = CliRunner().invoke(main, command)
    told = None if isinstance(result.exception, (SystemExit, type(None))) else repr(result.exception)
    print(json.dumps([int(result.exit_code), result.output, result.stdout, told]))
"""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    output: str
    stdout: str = ""


def commands(folders: Sequence[Path], *lines: Sequence[str | Path]) -> list[Said]:
    """Run commands one after the other where the packages in `folders` are installed."""
    path = os.pathsep.join(map(str, [ROOT, *folders]))
    result = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        input=json.dumps([[str(word) for word in line] for line in lines]),
        env={**os.environ, "PYTHONPATH": path, "SPECC_PLUGINS": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    said = [json.loads(line) for line in result.stdout.splitlines()]
    for *_, output, exception in said:
        assert exception is None, f"{exception}\n{output}"
    return [Said(*each[:3]) for each in said]


def package(folder: Path, name: str, entries: Document, **modules: str) -> Path:
    """Install a package into a folder of its own: its entry points, and its modules' texts."""
    own = folder / name
    about = own / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = (f"{key} = {value}\n" for key, value in entries.items())
    (about / "entry_points.txt").write_text(f"[specc.plugins]\n{''.join(lines)}")
    for module, text in modules.items():
        (own / f"{module}.py").write_text(text)
    return own


def told(folders: Sequence[Path], code: str, *arguments: str | Path) -> str:
    """What a Python program prints where the packages in `folders` are installed."""
    path = os.pathsep.join(map(str, [ROOT, *folders]))
    env = {**os.environ, "PYTHONPATH": path, "SPECC_PLUGINS": ""}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
