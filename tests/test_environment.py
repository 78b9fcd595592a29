"""env.json: what the figures of a run depend on besides its plan."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
import torch

from runtime.run import environment as subject
from runtime.run.environment import git_state, processor
from runtime.run.rundir import RunDir

from .documents import compiled

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init")
    (folder / "spec.yaml").write_text("specc: 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


@needs_git
def test_the_commit_and_whether_files_differ_from_it(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD").strip()
    assert git_state(repository) == {"commit": commit, "dirty": False}
    (repository / "inner").mkdir()
    (repository / "results.csv").write_text("what git does not know changes nothing")
    assert git_state(repository / "inner") == {"commit": commit, "dirty": False}
    (repository / "spec.yaml").write_text("specc: 2\n")
    assert git_state(repository / "inner") == {"commit": commit, "dirty": True}
    git(repository, "add", "spec.yaml")
    assert git_state(repository) == {"commit": commit, "dirty": True}


@needs_git
def test_a_branch_in_a_folder_of_its_own_is_looked_at_itself(repository: Path) -> None:
    git(repository, "worktree", "add", "../other")
    (repository / "spec.yaml").write_text("specc: 2\n")
    found = git_state(repository.parent / "other")
    assert found is not None
    assert found["dirty"] is False


@needs_git
def test_there_may_be_no_repository_or_none_with_a_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    git(tmp_path, "init")
    assert git_state(tmp_path) is None


def test_there_may_be_no_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(Path.cwd()) is None


@needs_git
def test_programs_that_a_repository_names_are_not_started(repository: Path, tmp_path: Path) -> None:
    trace = tmp_path / "was_here"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trace}\ncat\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    git(repository, "config", "filter.bad.clean", str(program))
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/attributes").write_text("* filter=bad\n")
    (repository / ".gitattributes").write_text("* filter=bad\n")
    os.utime(repository / "spec.yaml", (1, 1))  # so that its content has to be looked at
    found = git_state(repository)
    assert found is not None
    assert found["dirty"] is False
    assert not trace.exists()
    git(repository, "status")  # or else this test would show nothing
    assert trace.exists()


def test_a_run_says_on_what_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "describe", lambda device: f"name of {device}")
    RunDir.create(compiled(), "", "", tmp_path / "gpu", device=torch.device("cuda:1"))
    RunDir.create(compiled(), "", "", tmp_path / "cpu", device=torch.device("cpu"))
    on_gpu, on_cpu = (json.loads((tmp_path / name / "env.json").read_text()) for name in ("gpu", "cpu"))
    assert on_gpu["gpu"] == "name of cuda:1"
    assert on_cpu["gpu"] is None
    assert on_cpu["processor"] == processor() != ""
    assert (on_cpu["numpy"], on_cpu["threads"]) == (numpy.__version__, torch.get_num_threads())
    assert on_cpu["safetensors"]
    assert on_cpu["pydantic"]
    assert on_cpu["git"] == git_state(Path.cwd())
