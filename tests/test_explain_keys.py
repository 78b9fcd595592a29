"""`specc explain` tells every key of the language, from the schema that the reference is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len
from ruamel.yaml import YAML

from specc.cli import main
from specc.diagnostics import pages
from specc.reference import keys
from specc.reference.concerns import codes_of, example_of
from specc.spec.load import parse_spec
from tests.shipped import SHIPPED
from tests.terminals import shown


def explained(name: str) -> Result:
    return CliRunner().invoke(main, ["explain", name])


def page(name: str) -> str:
    result = explained(name)
    assert result.exit_code == 0, result.output
    return result.stdout


def dotted(data: Any, above: str = "") -> Iterator[str]:
    """All keys of a spec, items by their numbers."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        here = f"{above}.{key}".lstrip(".")
        if not isinstance(key, int):
            yield here
        yield from dotted(value, here)


def test_every_key_of_every_recipe_is_explained() -> None:
    written = [YAML(typ="safe").load(path.read_text(encoding="utf-8")) for path in SHIPPED]
    asked = {key for data in written for key in dotted(data)}
    assert len(asked) > 50
    assert [key for key in sorted(asked) if keys.page(key) is None] == []


def test_every_key_has_a_page_that_says_what_kind_of_value_it_takes() -> None:
    wrong = [name for name in keys.names() if "- value: " not in (keys.page(name) or "")]
    assert wrong == []


def test_a_key_says_type_default_meaning_and_limits() -> None:
    text = page("train.epochs")
    assert text.startswith("# `train.epochs`\n")
    assert "- value: integer, at least 1" in text
    assert "- default: `" in text
    assert "\ntrain: {epochs: " in text


@pytest.mark.parametrize("name", ["levels.0.window", "levels.window", "levels[0].window", "`levels.window`"])
def test_items_of_lists_are_named_or_not(name: str) -> None:
    assert "consecutive blocks that gradient flows through" in page(name)


def test_a_mapping_names_its_keys() -> None:
    text = page("split")
    assert "- `blocks`: integer" in text
    assert "did" not in text.partition("## Example")[0].split("\n")[0]


def test_of_a_mapping_of_many_kinds_each_has_a_page() -> None:
    text = page("train.optimizer")
    assert "- `adamw`: " in text
    assert "`lr`" not in text
    assert "- `lr`: number, above 0, default: `0.001`" in page("train.optimizer.adamw")


def test_defaults_that_differ_say_with_what() -> None:
    text = page("train.optimizer.lr")
    assert "- default: `0.1` (with `sgd`)" in text
    assert "- default: `0.002` (with `adamax`, `nadam`)" in text


def test_the_codes_of_a_key_are_those_whose_examples_turn_on_it() -> None:
    assert "SPC405" not in codes_of(["split"])
    assert "SPC402" in codes_of(["split", "blocks"]) or codes_of(["split", "blocks"])
    assert f"- `SPC106`: {pages.titles()['SPC106']}" in page("train.optimizer.lr")


def test_every_example_is_accepted_where_it_stands() -> None:
    examples = {example_of(name.split(".")) for name in keys.names()} - {""}
    assert len(examples) > 60
    whole = {"specc": "specc: 1", "name": "name: x", "backbone": "backbone: {family: resnet_cifar, depth: 20}"}
    for example in sorted(examples):
        text = "\n".join([example, *(line for key, line in whole.items() if not example.startswith(f"{key}:"))])
        found = {d.code for d in parse_spec(text + "\n", "x.yaml", ()).diagnostics}
        assert found & {"SPC101", "SPC103", "SPC104", "SPC105", "SPC109"} == set(), text


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("train.optimiser", "`train.optimizer`"),
        ("levels.windw", "`levels.window`"),
        ("lr", "`train.optimizer.lr`"),
        ("train.lr", "`train.optimizer.lr`"),
        ("data.bs", "`data.batch_size`"),
    ],
)
def test_an_unknown_key_is_answered_with_the_one_that_is_meant(wrong: str, meant: str) -> None:
    result = explained(wrong)
    assert result.exit_code == 2
    assert f"did you mean {meant}?" in result.stderr
    assert result.stdout == ""


def test_an_op_is_explained() -> None:
    assert page("conv").startswith("# `conv`")
    assert "`out`" in page("conv")


def test_a_page_is_text_in_a_pipe_and_rendered_on_a_terminal() -> None:
    assert explained("SPC405").stdout == pages.page("SPC405")
    screen = shown("explain", "SPC405", columns=60)
    assert "```" not in screen
    assert "## " not in screen
    assert "split: {blocks: 2}" in screen
    assert "\x1b[" in shown("explain", "SPC405", columns=60, TERM="xterm")


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_explanations_fit_the_terminal(columns: int) -> None:
    for name in ("train.optimizer.lr", "data.augment", "SPC405", "conv"):
        lines = shown("explain", name, columns=columns).splitlines()
        assert max(map(cell_len, lines)) <= columns, name
        assert not any(line.endswith(" ") for line in lines)


def test_what_can_be_asked_for_is_listed() -> None:
    listed = shown("explain", columns=80)
    assert all(name in listed for name in ("SPC101", "train.optimizer", "transformer_block"))
    assert max(map(cell_len, listed.splitlines())) <= 80
