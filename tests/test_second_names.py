"""A key that is read by two names is one key, wherever it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from specc.checking import check_text
from specc.spec.json_schema import json_schema
from specc.spec.load import loads, read_spec

SPEC: dict[str, Any] = {"specc": 1, "name": "two", "backbone": {"family": "resnet_cifar"}, "split": {"blocks": 2}}


def text(**auxiliary: Any) -> str:
    return json.dumps(SPEC | {"auxiliary": auxiliary})


def test_a_decoder_is_a_reconstruction() -> None:
    first, second = loads(text(reconstruction={"weight": 3.0})), loads(text(decoder={"weight": 3.0}))
    assert first.config == second.config
    found = second.span("auxiliary", "reconstruction", key=True)
    assert second.tree.text[found.column - 1 : found.end_column - 1] == '"decoder"'


@pytest.mark.parametrize("name", ["decoder", "reconstruction"])
@pytest.mark.parametrize("written", ["decoder", "reconstruction"])
def test_it_is_changed_by_either_name(name: str, written: str) -> None:
    spec = loads(text(**{written: {"weight": 3.0}}), overrides=[f"auxiliary.{name}.weight=5.0"])
    assert spec.config.auxiliary.reconstruction is not None
    assert spec.config.auxiliary.reconstruction.weight == 5.0
    levels = "levels=[{name: own, auxiliary: {decoder: null}}]"
    assert loads(text(), overrides=[levels]).config.levels[0].auxiliary is not None


def test_a_child_may_call_it_otherwise_than_its_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text(text(decoder={"weight": 3.0}))
    child = tmp_path / "child.yaml"
    child.write_text('{"extends": "parent.yaml", "auxiliary": {"reconstruction": {"patches": {"weights": "shared"}}}}')
    found = read_spec(child).spec
    assert found is not None
    assert found.config.auxiliary.reconstruction is not None
    assert (found.config.auxiliary.reconstruction.weight, found.config.auxiliary.reconstruction.patches is None) == (
        3.0, False,
    )  # fmt: skip


def test_both_names_at_once_are_a_mistake() -> None:
    (found,) = check_text(text(reconstruction={}, decoder={})).diagnostics
    assert (found.code, "`decoder`" in found.message) == ("SPC101", True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(text(reconstruction={}, decoder={})), json_schema())
    jsonschema.validate(json.loads(text(decoder={})), json_schema())
