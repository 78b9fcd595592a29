"""The command line for tests: in this process, or in one of its own where the process is the subject."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click.testing

from specc.cli import main

ROOT = Path(__file__).parents[1]
Result = subprocess.CompletedProcess[str]
PERSONAL = ("SPECC_DATA", "FORCE_COLOR", "PY_COLORS")  # what the person who runs the tests may have set


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "specc", *map(str, words)]


def surroundings() -> dict[str, str]:
    """One thread, this checkout, and nothing of the person who runs the tests."""
    kept = {k: v for k, v in os.environ.items() if k not in PERSONAL}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def checked(result: Result) -> Result:
    """No command may show a traceback, nor colours away from a terminal."""
    said = result.stdout + result.stderr
    assert "Traceback" not in said, said
    assert "\x1b" not in said, "escape sequences away from a terminal"
    return result


def specc(*words: str | Path, cwd: Path) -> Result:
    """Run to the end in this process: as fast as it gets, and an exception is an exception."""
    with contextlib.chdir(cwd), _without_personal():
        done = click.testing.CliRunner().invoke(main, list(map(str, words)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return checked(Result(command(*words), done.exit_code, done.stdout, done.stderr))


def specc_apart(*words: str | Path, cwd: Path) -> Result:
    """Run to the end in a process of its own."""
    return checked(
        subprocess.run(
            command(*words), cwd=cwd, env=surroundings(), capture_output=True, text=True, timeout=120, check=False
        )
    )


@contextlib.contextmanager
def _without_personal() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in PERSONAL if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
