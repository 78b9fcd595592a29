"""docs/extending.md shows the files of the package that the other tests install, each short enough to be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .processes import ROOT, TOYS

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^`([\w/.-]+)`:\n\n```\w+\n(.*?)^```", PAGE, flags=re.M | re.S))
FILES = {
    str(path.relative_to(TOYS)): path
    for path in sorted(TOYS.rglob("*"))
    if path.is_file() and path.suffix in (".py", ".txt") and path.name != "__init__.py"
}


def test_the_generated_pages_are_those_without_packages() -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TOYS}", "SPECC_PLUGINS": ""}
    line = [sys.executable, "-m", "specc.docs", "--check"]
    result = subprocess.run(line, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "spec-reference" not in result.stdout, "with an op of a package in it"
    assert result.stderr == ""


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_the_file_that_is_tested(name: str) -> None:
    assert SHOWN[name] == FILES[name].read_text(encoding="utf-8")


def test_the_page_shows_no_others() -> None:
    assert set(SHOWN) == set(FILES)


def test_each_thing_takes_under_thirty_lines() -> None:
    kinds = {name.partition("_torch.py")[0].removesuffix(".py") for name in FILES if name.endswith(".py")}
    for kind in kinds:
        parts = [text for name, text in SHOWN.items() if name in (f"{kind}.py", f"{kind}_torch.py")]
        written = [line for part in parts for line in part.splitlines() if line.strip()]
        assert len(written) < 30 + 6 * (len(parts) > 1), kind
