"""The JSON Schema and the other generated pages: current, complete, and true to the language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from specc import docs
from specc.checking import check, check_text
from specc.cli import main
from specc.docs.messages import MISTAKES
from specc.docs.pages import filled
from specc.language.source import read
from specc.spec.json_schema import json_schema
from specc.spec.load import read_spec
from specc.spec.lookup import all_mappings, keys_of

from .shipped import SHIPPED

ROOT = Path(__file__).parent.parent
SCHEMA = json_schema()
NEWER = {"$defs", "prefixItems", "dependentRequired", "unevaluatedProperties", "$dynamicRef", "minContains"}


def walk(schema: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside of a schema; what is under `properties` and `definitions` has names, not keywords."""
    if isinstance(schema, dict):
        yield path, schema
        for key, value in schema.items():
            named = key in ("properties", "definitions")
            for name, inner in value.items() if named and isinstance(value, dict) else ((key, value),):
                yield from walk(inner, f"{path}/{key}/{name}" if named else f"{path}/{key}")
    elif isinstance(schema, list):
        for i, item in enumerate(schema):
            yield from walk(item, f"{path}/{i}")


@pytest.mark.parametrize("name", docs.PAGES)
def test_the_committed_page_is_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == docs.PAGES[name](), "run `python -m specc.docs`"


def test_what_is_generated_has_its_place_in_the_page() -> None:
    assert filled("errors.md", spec="x.yaml", mistakes="...").endswith("\n\n...\n")
    with pytest.raises(LookupError, match="no place for `figures`"):
        filled("errors.md", figures="...")


def test_the_command_prints_the_schema() -> None:
    assert json.loads(CliRunner().invoke(main, ["schema"]).output) == SCHEMA


def test_only_words_of_draft_7() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    for path, schema in walk(SCHEMA):
        assert not NEWER & set(schema), path
        assert "$ref" not in schema or len(schema) == 1, f"{path}: draft 7 ignores what stands beside $ref"
        assert schema.get("$ref", "#/definitions/").startswith("#/definitions/"), path
        assert not isinstance(schema.get("exclusiveMinimum", 0), bool), path


def test_every_reference_leads_somewhere() -> None:
    for path, schema in walk(SCHEMA):
        if "$ref" in schema:
            assert schema["$ref"].removeprefix("#/definitions/") in SCHEMA["definitions"], path


def test_every_field_has_a_description() -> None:
    for path, schema in walk(SCHEMA):
        for name, field in schema.get("properties", {}).items():
            condition = path.endswith("/if")
            assert condition or field.get("description"), f"{path}: {name}"


def test_every_model_field_has_a_description_or_is_a_tag() -> None:
    for where, model in all_mappings():
        for name, field in model.model_fields.items():
            assert field.description or (field.is_required() and name in ("family", "name")), f"{where}.{name}"


def test_every_key_is_in_the_reference() -> None:
    text = docs.PAGES["spec-reference.md"]()
    for where, model in all_mappings():
        assert f"`{where}`" in text or not where
        for key in keys_of(model):
            assert f"| `{key}` |" in text, f"{where}.{key}"


VALIDATOR = Draft7Validator(SCHEMA)


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_specs_fit_the_schema_as_they_are_written_and_as_a_whole(path: Path) -> None:
    reading, (tree, _) = read_spec(path), read(path)
    assert reading.spec is not None
    assert tree is not None
    VALIDATOR.validate(reading.spec.tree.data)
    VALIDATOR.validate(tree.data)


CHILD: dict[str, Any] = {"extends": "parent.yaml"}
WHOLE = {"specc": 1, "name": "x", "backbone": {"family": "resnet_cifar"}}


@pytest.mark.parametrize(
    ("part", "child", "whole"),
    [
        ({}, True, True),
        ({"train": {"optimizer": {"lr": 0.1}}}, True, False),  # `name` is the parent's to say
        ({"backbone": {"depth": 20}}, True, False),
        ({"budget": {"on_exceed": "warn"}}, True, False),
        ({"train": {"optimizer": {"rate": 0.1}}}, False, False),
        ({"backbone": {"dept": 20}}, False, False),
        ({"levels": [{"window": 2}]}, False, False),  # lists replace: their items are whole
        ({"trian": {}}, False, False),
    ],
)
def test_what_extends_may_leave_out_what_its_parent_says(part: dict[str, Any], child: bool, whole: bool) -> None:
    assert VALIDATOR.is_valid(CHILD | part) == child
    assert VALIDATOR.is_valid(WHOLE | part) == whole


def test_the_gallery_shows_ten_mistakes_each_with_its_code() -> None:
    text = (ROOT / "specs" / "quickstart.yaml").read_text(encoding="utf-8")
    assert len(MISTAKES) == 10
    for mistake in MISTAKES:
        report = check_text(mistake.apply(text))
        assert [d.code for d in report.diagnostics] == [mistake.code], mistake.title


def test_a_page_that_is_not_current_is_noticed_and_written(tmp_path: Path) -> None:
    assert set(docs.stale(tmp_path)) == set(docs.PAGES)
    assert set(docs.write(tmp_path)) == set(docs.PAGES)
    assert docs.write(tmp_path) == []


def test_init_writes_a_spec_that_validates_and_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert CliRunner().invoke(main, ["init", str(target)]).exit_code == 0
    assert check(target).diagnostics == ()
    target.write_text("precious", encoding="utf-8")
    result = CliRunner().invoke(main, ["init", str(target)])
    assert result.exit_code == 2
    assert target.read_text(encoding="utf-8") == "precious"
    assert CliRunner().invoke(main, ["init", str(tmp_path / "no" / "folder.yaml")]).exit_code == 2
