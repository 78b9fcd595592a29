"""The methods of local learning as the recipes have them: `METHOD_DATASET` says what a method means on such images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ..diagnostics import did_you_mean
from ..fit.methods import PARTS, Method
from ..spec.models import SpecModel
from .catalogue import Recipe, recipe
from .places import names

ANYWHERE = "cifar10"  # of the recipes on these images the heads go with networks of all kinds
WHOLE = "e2e"
USUAL = ("dgl", "infopro", "man", "hpff")  # that are looked at where nobody says which


class UnknownMethod(LookupError):
    """No recipe trains by a method of this name; `help` says which one may be meant."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no method is called `{name}`")
        self.help = (*did_you_mean(name, known()), f"they are {', '.join(known())}")


def known() -> list[str]:
    """What the methods are called."""
    end = f"_{ANYWHERE}"
    return sorted(name.removesuffix(end) for name in names() if name.endswith(end) and name != f"{WHOLE}{end}")


def method(name: str, config: SpecModel) -> Method:
    """What a method means for a spec: by the recipe for its data set, where that is for such a network."""
    if name not in known():
        raise UnknownMethod(name)
    near = f"{name}_{config.data.dataset}"
    found = recipe(near) if near in names() else None
    if found is None or not _same_network(found, config):
        found = recipe(f"{name}_{ANYWHERE}")
    return Method(name, _config(found.name))


def of_spec(config: SpecModel, wanted: Sequence[str] = ()) -> list[Method]:
    """The methods to compare, the spec's own first where it is local; the usual ones where none are named."""
    methods = [method(name, config) for name in wanted or USUAL]
    if wanted or (config.split.fit is None and config.split.blocks == 1):
        return methods
    own = next((each for each in methods if each.is_that_of(config)), None)
    others = [each for each in methods if each is not own]
    return [Method(own.name if own else "own", config), *others]


def _same_network(found: Recipe, config: SpecModel) -> bool:
    """Whether a recipe is for a network of the same kind."""
    return bool(found.tree.data.get("backbone", {}).get("family") == getattr(config.backbone, "family", None))


@cache
def _config(name: str) -> SpecModel:
    """As much of a recipe as says how it learns."""
    data = recipe(name).tree.data
    said = {part: data[part] for part in PARTS if part in data}
    return SpecModel.model_validate({"specc": 1, "name": name, "backbone": {"family": "resnet_cifar"}, **said})
