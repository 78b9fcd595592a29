"""What the README shows is what works."""

from __future__ import annotations

import re
from pathlib import Path

import specc
from specc.cli import main
from specc.compiler import CHECKS, run_passes
from specc.spec.load import loads

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def test_the_example_compiles_without_a_word() -> None:
    spec = loads(BLOCKS[0], "README.md")
    assert run_passes(spec, CHECKS).diagnostics == ()
    assert len(specc.compile(spec).units) == 7


def test_the_graph_compiles_without_a_word() -> None:
    text = "specc: 1\nname: readme\n" + BLOCKS[1]
    assert run_passes(loads(text, "README.md"), CHECKS).diagnostics == ()


def test_every_command_exists() -> None:
    used = set(re.findall(r"^\$ specc (\w+)", README, re.MULTILINE))
    assert used <= set(main.commands)
    assert {"validate", "plan", "run", "fit"} <= used


def test_every_page_it_links_to_exists() -> None:
    root = Path(__file__).parent.parent
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert all((root / link).exists() for link in links)
