"""What is valid of a spec with errors: so that later checks can look at the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from specc.diagnostics import Span
from specc.language.source import Path, Tree
from specc.spec.alternatives import likely_errors
from specc.spec.models import SpecModel

_ROUNDS = 6  # leaving out a value can make the mapping around it wrong, and so on outwards
_STAND_IN: dict[str, Any] = {"specc": 1, "name": "spec", "backbone": {"family": "resnet_cifar"}}


def valid_part(tree: Tree) -> tuple[SpecModel, Tree, frozenset[Span]] | None:
    """The part of the spec that is valid, and the places of what was left out."""
    lost: set[Span] = set()
    for _ in range(_ROUNDS):
        try:
            return SpecModel.model_validate(tree.data), tree, frozenset(lost)
        except ValidationError as error:
            wrong = {found.path for found in likely_errors(error.errors(include_url=False), tree.data)}
        lost |= {tree.span(path) for path in wrong if path}
        tree = _without(_completed(tree) if () in wrong else tree, wrong - {()})
    return None


def _completed(tree: Tree) -> Tree:
    """The tree with what no spec can do without."""
    return replace(tree, data={**_STAND_IN, **tree.data})


def _without(tree: Tree, gone: set[Path]) -> Tree:
    """The tree without some of its values; the spans follow list items to their new places."""
    values: dict[Path, Span] = {}
    keys: dict[Path, Span] = {}

    def copy(data: Any, old: Path, new: Path) -> Any:
        if old in tree.values:
            values[new] = tree.values[old]
        if old in tree.keys:
            keys[new] = tree.keys[old]
        if isinstance(data, Mapping):
            return {k: copy(v, (*old, k), (*new, k)) for k, v in data.items() if (*old, k) not in gone}
        if isinstance(data, list):
            kept = [(i, item) for i, item in enumerate(data) if (*old, i) not in gone]
            return [copy(item, (*old, i), (*new, j)) for j, (i, item) in enumerate(kept)]
        return data

    data = copy(tree.data, (), ())
    return replace(tree, data=data, values=values, keys=keys)
