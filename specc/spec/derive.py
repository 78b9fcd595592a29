"""A configuration as a spec of its own that says only what it has differently from the one that it extends."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..language.schema import exact_bytes
from .dump import dump, plain, write
from .load import read_bytes_as_spec, read_spec
from .models import SpecModel


def derive(config: SpecModel, parent: Path, target: Path) -> str:
    """The text of `target`, so that it loads to the configuration under a name of its own.

    Where differences cannot say it, all is written out: a list of mappings may have lost some of its keys.
    """
    config = config.model_copy(update={"name": name_for(target, config.name)})
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
