"""specc outside of its checkout, and beside the user's own files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .parts import partly

ROOT = Path(__file__).parents[1]


def python(*words: str, cwd: Path, path: Path | str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The package alone, as an installation has it."""
    folder = tmp_path / "site"
    shutil.copytree(ROOT / "specc", folder / "specc", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("words", [[], ["--check"]], ids=["write", "check"])
def test_documentation_is_written_in_a_checkout_only(words: list[str], installed: Path) -> None:
    result = python("-m", "specc.docs", *words, cwd=installed, path=installed)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "checkout" in result.stderr
    assert not (installed / "docs").exists()


@pytest.mark.parametrize("name", ["runtime.py", "runtime/__init__.py"])
def test_a_file_that_hides_the_runtime_is_named(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("")
    result = python("-m", "specc", "doctor", cwd=tmp_path, path=f"{tmp_path / 'mine'}{os.pathsep}{ROOT}")
    assert str(mine) in result.stderr
    assert "rename it" in result.stderr
    assert result.returncode == 3
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", partly(["runtime.py", "runtime/__init__.py"], ["runtime.py"]))
def test_nothing_of_the_folder_that_one_is_in_hides_the_runtime(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("raise SystemExit(9)")
    assert python("-m", "specc", "doctor", cwd=tmp_path / "mine", path=ROOT).returncode == 0


def test_a_runtime_that_is_missing_is_said_so(tmp_path: Path, installed: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "data.csv").write_text("")  # a folder without code hides nothing
    result = python("-m", "specc", "doctor", cwd=tmp_path, path=installed)
    assert "hides" in result.stderr or "missing" in result.stderr
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
