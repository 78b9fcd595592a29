"""What other repositories use: the hooks of pre-commit and the GitHub Action, held to their schemas and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from .commands import surroundings
from .shipped import FOLDER, REPRESENTATIVES

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WRONG = "specc: 1\nname: wrong\nbackbone: {family: resnet_cifar, depth: 20, k: 3}\n"
RIGHT = "specc: 1\nname: right\nbackbone: {family: resnet_cifar, depth: 20}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout of somebody's with two specs, and a `specc` where the action installs it."""
    (tmp_path / "work" / "specs" / "deep er").mkdir(parents=True)
    (tmp_path / "work" / "specs" / "right.yaml").write_text(RIGHT)
    (tmp_path / "work" / "specs" / "deep er" / "wrong.yaml").write_text(WRONG)
    program = tmp_path / "specc" / "bin" / "specc"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m specc "$@"\n')
    program.chmod(0o755)
    return tmp_path


def step(name: str) -> str:
    (found,) = (each["run"] for each in ACTION["runs"]["steps"] if each.get("name") == name)
    return str(found)


def acted(name: str, repository: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A step of the action as GitHub's runner runs it."""
    known = surroundings() | {"RUNNER_TEMP": str(repository), "GITHUB_OUTPUT": str(repository / "output"), **env}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)],
        cwd=repository / "work", env=known, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_action_is_what_github_takes() -> None:
    from check_jsonschema.builtin_schemas import get_builtin_schema
    from jsonschema import validate

    validate(ACTION, get_builtin_schema("vendor.github-actions"))


def test_every_input_is_described_and_used() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert [name for name, given in ACTION["inputs"].items() if not given["description"]] == []
    assert [name for name in ACTION["inputs"] if f"inputs.{name} " not in text and f"inputs.{name}}}" not in text] == []
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    assert [name for name in (*ACTION["inputs"], *ACTION["outputs"]) if f"`{name}`" not in page] == []


def test_no_input_becomes_code() -> None:
    """Whoever opens a pull request may say what it is; scripts read it from their environment."""
    scripts = [each["run"] for each in ACTION["runs"]["steps"] if "run" in each]
    assert len(scripts) == 3
    assert [script for script in scripts if "${{" in script] == []


def test_the_action_reports_what_is_wrong_with_any_spec_below(repository: Path) -> None:
    done = acted("Validate", repository, SPECS="specs/**/*.yaml", OVERRIDES="", REPORT="report.sarif")
    assert done.returncode == 0, done.stderr
    assert (repository / "output").read_text() == "exit-code=1\n"
    (run,) = json.loads((repository / "work" / "report.sarif").read_text())["runs"]
    (found,) = run["results"]
    place = found["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "specs/deep%20er/wrong.yaml", "uriBaseId": "%SRCROOT%"}
    assert "unknown key `k`" in done.stderr
    assert acted("Judge", repository, CODE="1").returncode == 1


def test_overrides_are_taken_as_they_are(repository: Path) -> None:
    more = "train.epochs=0\nname=$(touch hacked)\n"
    done = acted("Validate", repository, SPECS="specs/right.yaml", OVERRIDES=more, REPORT="report.sarif")
    assert (done.returncode, (repository / "output").read_text()) == (0, "exit-code=1\n")
    assert not (repository / "work" / "hacked").exists()
    assert "`train.epochs` must be at least 1" in done.stderr


def test_no_spec_at_all_fails_the_job(repository: Path) -> None:
    done = acted("Validate", repository, SPECS="nowhere/*.yaml", OVERRIDES="", REPORT="report.sarif")
    assert (done.returncode, (repository / "output").read_text()) == (0, "exit-code=2\n")


def test_the_hooks_are_what_pre_commit_takes() -> None:
    from pre_commit.clientlib import load_manifest

    assert [hook["id"] for hook in load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))] == [
        hook["id"] for hook in HOOKS
    ]
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    assert [hook["id"] for hook in HOOKS if hook["id"] not in page] == []


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_is_given_specs_and_says_what_is_wrong(hook: dict[str, Any], repository: Path) -> None:
    import re

    files = ["specs/right.yaml", "specs/deep er/wrong.yaml", "a/specs/b.yml", "specs/notes.md", "other/specs.yaml"]
    assert [file for file in files if re.search(hook["files"], file)] == files[:3]
    entry = hook["entry"].split()
    known = surroundings() | {"PATH": f"{repository / 'specc' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*entry, *hook.get("args", []), *files[:2]],
        cwd=repository / "work", env=known, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "specs/deep er/wrong.yaml:3:45" in done.stderr) == (1, True)


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from specc.cli import main
main(sys.argv[2:])
"""


def named(requirements: list[str]) -> set[str]:
    return {text.partition(">")[0] for text in requirements}


def without_the_rest(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """specc where only what `validate` needs is installed."""
    modules = {"scikit-learn": "sklearn", "pillow": "PIL", "ruamel.yaml": "ruamel"}
    needed = named(PROJECT["dependency-groups"]["validate"])
    absent = " ".join(modules.get(name, name) for name in named(PROJECT["project"]["dependencies"]) - needed)
    assert {"torch", "torchvision"} <= set(absent.split())
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, absent, *words],
        cwd=cwd, env=surroundings(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_specs_are_validated_without_pytorch(tmp_path: Path) -> None:
    assert set(PROJECT["dependency-groups"]["validate"]) <= set(PROJECT["project"]["dependencies"])
    recipes = [str(path) for path in REPRESENTATIVES[::4]]
    done = without_the_rest("validate", *recipes, cwd=tmp_path)
    assert (done.returncode, done.stdout.count(": ok")) == (0, len(recipes)), done.stderr


def test_a_run_without_pytorch_says_what_is_missing(tmp_path: Path) -> None:
    done = without_the_rest("run", str(FOLDER / "quickstart.yaml"), cwd=tmp_path)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "error: `torch` is not installed, and a spec is only checked and planned without it" in done.stderr
