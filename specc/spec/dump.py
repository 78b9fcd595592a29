"""A validated spec back to YAML, with every default written out."""

from __future__ import annotations

from io import StringIO
from typing import Any

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
