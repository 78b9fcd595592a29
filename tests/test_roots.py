"""`data.root` is relative to the file that says it; a run records where that was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from specc.checking import check
from specc.spec.roots import data_root

from . import small_data as small
from .commands import specc
from .documents import document

SPECS = Path(__file__).parents[1] / "specs"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec and a folder of images side by side, and another folder, in which specc is called."""
    monkeypatch.delenv("SPECC_DATA", raising=False)
    small.put(tmp_path / "project" / "photos", small.image_folder())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "project"


def spec(folder: Path, name: str = "spec.yaml", **changes: Any) -> Path:
    data = {"dataset": "image_folder", "root": "photos", "image_size": 8, "classes": 2, "batch_size": 4} | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document(data=data, train={"epochs": 1})))
    return folder / name


def root_of(path: Path, *overrides: str) -> str:
    found = check(path, overrides).spec
    assert found is not None
    return os.path.realpath(data_root(found))


def test_a_root_is_relative_to_its_spec(project: Path) -> None:
    assert root_of(spec(project)) == str(project / "photos")


def test_a_root_that_is_inherited_is_relative_to_the_parent(project: Path) -> None:
    spec(project, "parent.yaml")
    child = project / "deeper" / "child.yaml"
    child.parent.mkdir()
    child.write_text("extends: ../parent.yaml\nname: child\n")
    assert root_of(child) == str(project / "photos")
    child.write_text("extends: ../parent.yaml\nname: child\ndata: {root: pictures}\n")
    assert root_of(child) == str(project / "deeper" / "pictures")


def test_a_root_of_the_command_line_or_the_environment_is_relative_to_the_current_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert root_of(spec(project), "data.root=photos") == str(Path.cwd() / "photos")
    variable = spec(project, root="${SPECC_DATA:-photos}")
    assert root_of(variable) == str(project / "photos")
    monkeypatch.setenv("SPECC_DATA", "mine")
    assert root_of(variable) == str(Path.cwd() / "mine")
    monkeypatch.setenv("SPECC_DATA", str(project))
    assert root_of(spec(project, root="${SPECC_DATA}/a")) == str(project / "a")


def test_a_run_finds_its_data_from_anywhere_and_records_where_they_were(project: Path) -> None:
    result = specc("run", spec(project), "--device", "cpu", "--run-dir", "run", cwd=Path.cwd())
    assert result.returncode == 0, result.stderr
    assert json.loads(Path("run/env.json").read_text())["data_root"] == str(project / "photos")
    assert root_of(Path("run/spec.resolved.yaml")) == str(project / "photos")
    again = specc("run", "run/spec.resolved.yaml", "--device", "cpu", "--run-dir", "again", cwd=Path.cwd())
    assert again.returncode == 0, again.stderr


def test_a_folder_beside_the_caller_instead_of_the_spec_is_pointed_out(project: Path) -> None:
    (project / "photos").rename("photos")
    result = specc("run", spec(project), "--device", "cpu", cwd=Path.cwd())
    assert result.returncode == 3
    assert f"relative to the file that it is written in, so {project / 'photos'} was looked for" in result.stderr
    assert "for the one in the current folder: specc run SPEC data.root=photos" in result.stderr
    assert specc("run", project / "spec.yaml", "data.root=photos", "--device", "cpu", cwd=Path.cwd()).returncode == 0


@pytest.mark.parametrize("name", ["man_svhn", "e2e_stl10", "man_cifar10", "hpff_imagenet", "man_voc", "e2e_cityscapes"])
def test_the_data_of_the_recipes_are_beside_their_folder(project: Path, name: str) -> None:
    assert (root_of(SPECS / f"{name}.yaml") + "/").startswith(f"{SPECS.parent / 'data'}/")
