"""A run that another version of specc has started is no damaged one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from specc.plan.model import FORMAT_VERSION

from .commands import specc

WRITERS = [({"specc": "0.0.9"}, "specc 0.0.9"), ({}, "another specc"), (None, "another specc")]


@pytest.mark.parametrize(("env", "writer"), WRITERS)
@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1])
@pytest.mark.parametrize("command", ["resume", "export", "evaluate"])
def test_it_is_refused_with_what_to_do(command: str, version: int, env: object, writer: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"format_version": version, "blocks": "in other words"}))
    if env is not None:
        (tmp_path / "env.json").write_text(json.dumps(env))
    result = specc(command, tmp_path, cwd=tmp_path)
    assert result.returncode == 3
    error, anew, goes_on = result.stderr.splitlines()
    assert error == (
        f"error: the run in {tmp_path} was started by {writer}: its plan has format {version}, not {FORMAT_VERSION}"
    )
    assert anew == f"  = help: start it anew: specc run {tmp_path / 'spec.resolved.yaml'}"
    assert goes_on == f"  = help: or go on with {writer}, which this is not"


@pytest.mark.parametrize("text", ["{}", '{"format_version": "1"}', '{"format_version": null}', "[]", "{"])
def test_a_plan_without_a_version_is_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    result = specc("resume", tmp_path, cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.startswith(f"error: the plan in {tmp_path} is damaged: ")
