"""A validated spec back to YAML: with every default written out, or over the spec that it extends."""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path
from typing import Any

from ..language.schema import exact_bytes
from .load import read_bytes_as_spec, read_spec
from .models import SpecModel
from .sections.levels import Level, UnitOverride


def dump(config: SpecModel) -> str:
    """YAML that loads to the same spec."""
    return write(plain(config))


def write(document: dict[str, Any]) -> str:
    """A document as YAML, its keys in their order."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None  # inner mappings on one line
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def plain(config: SpecModel) -> dict[str, Any]:
    """The spec as YAML knows it. Overrides keep only what they set: a default written out would override something."""
    document: dict[str, Any] = _without_none(config.model_dump(mode="json", by_alias=True))
    for level, dumped in zip(config.levels, document["levels"], strict=True):
        _keep_set(level, dumped)
        for unit, inner in zip(level.units, dumped["units"], strict=True):
            _keep_set(unit, inner)
    return document


def _keep_set(model: Level | UnitOverride, dumped: dict[str, Any]) -> None:
    if model.auxiliary is not None:
        dumped["auxiliary"] = model.auxiliary.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _without_none(value: Any) -> Any:
    """The value without keys that say nothing."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list) else value


def derive(config: SpecModel, parent: Path, target: Path, name: str = "") -> str:
    """The text of `target`, so that it loads to the configuration under a name of its own: by default the file's.

    It says only what it has differently from its parent. Where that cannot be said, all is written out: a list of
    mappings may have lost some of its keys.
    """
    config = config.model_copy(update={"name": name or name_for(target, config.name)})
    before = read_spec(parent).spec
    if before is not None:
        changes = difference(plain(before.config), plain(config))
        if "split" in changes:  # what it says rules out what the other one said
            changes["split"] = config.split.model_dump(exclude_unset=True)
        if "memory" in (budget := changes.get("budget") or {}):
            budget["memory"] = exact_bytes(budget["memory"])
        text = write({"extends": os.path.relpath(parent, target.parent or "."), **changes})
        again = read_bytes_as_spec(text.encode(), os.fspath(target)).spec
        if again is not None and plain(again.config) == plain(config):
            return text
    return dump(config)


def name_for(target: Path, parent: str) -> str:
    """The file's name as that of a spec."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", target.stem).lstrip("_.-")
    return name if name and name != parent else f"{parent}_fit"


def difference(before: Any, after: dict[str, Any]) -> dict[str, Any]:
    """What has to be said over `before` to come to `after`: null takes a key back."""
    changes: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := difference(old, value):
                changes[key] = inner
        elif value != old:
            changes[key] = value
    return changes | {key: None for key in before if key not in after}
