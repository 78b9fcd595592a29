"""What each recipe is, by its own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..diagnostics import did_you_mean
from ..language.source import Tree, read
from ..spec.extend import KEY, merge
from .places import folder, names

TEMPLATES = Path(__file__).parents[1] / "templates"
IMAGES = "images"  # the template for a folder of one's own


class UnknownRecipe(LookupError):
    """There is no recipe of this name; `help` says which one may be meant."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no recipe is called `{name}`")
        self.help = (*did_you_mean(name, names()), "`specc init --list` shows them all")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A shipped spec over all that it extends, and what stands at its head."""

    name: str
    tree: Tree
    about: str

    @property
    def line(self) -> str:
        """What it is, in a line: the first sentence of its head."""
        return re.split(r"(?<=[A-Za-z0-9)])\.(?: |$)", " ".join(self.about.split()), maxsplit=1)[0]

    @property
    def dataset(self) -> str:
        """What it is trained on."""
        return str(self.tree.data["data"]["dataset"])

    @property
    def method(self) -> str:
        """What the recipe of a method is called, without the data set."""
        return self.name.removesuffix(f"_{self.dataset}")

    @property
    def blocks(self) -> int:
        """How many blocks the network is cut into."""
        split: Mapping[str, Any] = self.tree.data.get("split", {"blocks": 1})
        return int(split["blocks"]) if "blocks" in split else len(split["after"]) + 1


def recipe(name: str) -> Recipe:
    """The recipe of a name; `UnknownRecipe` where there is none."""
    asked = name.removesuffix(".yaml")
    if asked not in names():
        raise UnknownRecipe(name)
    return _recipe(asked, folder() / f"{asked}.yaml")


def template(name: str) -> Recipe:
    """The template of a name."""
    return _recipe(name, TEMPLATES / f"{name}.yaml")


def _recipe(name: str, path: Path) -> Recipe:
    tree = _merged(path)
    return Recipe(name, tree, _head(tree.text))


@cache
def _merged(path: Path) -> Tree:
    """A spec over its parents, each of which is read once, however many extend it."""
    tree, _ = read(path)
    if tree is None:
        raise OSError(f"{path} is damaged: install specc anew")
    if KEY not in tree.data:
        return tree
    parent = _merged((path.parent / tree.data[KEY]).resolve())
    merged = merge(parent, tree.without({(KEY,)}))
    return Tree(tree.name, tree.text, merged.data, merged.values, merged.keys, parents=parent.sources)


def _head(text: str) -> str:
    """The comment that a spec begins with, without what is for editors."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    while lines and (not lines[0] or lines[0].startswith(("yaml-language-server", "(written by"))):
        del lines[0]
    return "\n".join(lines)


def found(words: Sequence[str]) -> list[Recipe]:
    """The recipes that have every one of the words in their name, method, data set or description, by their method."""
    every = [recipe(name) for name in names()]
    wanted = [word.casefold() for word in words]
    fitting = [each for each in every if all(word in _said(each) for word in wanted)]
    return sorted(fitting, key=lambda each: (each.method, each.dataset))


def _said(recipe: Recipe) -> str:
    return " ".join((recipe.name, recipe.dataset, recipe.about)).casefold()
