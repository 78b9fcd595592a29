"""The shipped recipes as a table; nothing is computed here that a recipe does not say."""

from __future__ import annotations

from collections.abc import Sequence

from ..recipes.catalogue import Recipe
from . import Column, Table, table


def recipe_table(recipes: Sequence[Recipe]) -> Table:
    """The recipes, those of a method together."""
    columns = ("recipe", "data set", "blocks", Column("what it is", shortens="end", least=24))
    rows = ((each.name, each.dataset, str(each.blocks), each.line) for each in recipes)
    return table(None, columns, [], rows, whole="specc init --list | cat")
