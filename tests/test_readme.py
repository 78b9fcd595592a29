"""What the README shows is what works."""

from __future__ import annotations

import re
from pathlib import Path

import specc
from specc.cli import main
from specc.pipeline import CHECKS, run_passes
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


def test_the_groups_compile_without_a_word() -> None:
    draft = run_passes(loads("specc: 1\nname: readme\n" + BLOCKS[2], "README.md"), CHECKS)
    assert draft.diagnostics == ()
    names = [layer.name for layer in draft.graph.layers]
    assert names[1:4] == ["body.0.conv", "body.0.all", "body.1.conv"]
    assert draft.graph.shapes["wide.2.all.concat"] == (16 + 4 * 8 + 12 + 16 + 24, 8, 8)


def test_every_command_exists() -> None:
    used = set(re.findall(r"^\$ specc (\w+)", README, re.MULTILINE))
    assert used <= set(main.commands)
    assert {"validate", "plan", "run", "fit"} <= used


def test_every_page_it_links_to_exists() -> None:
    root = Path(__file__).parent.parent
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert all((root / link).exists() for link in links)
