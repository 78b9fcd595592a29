"""`levels`: the local units of each window size, and what single units have differently."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...language.schema import Config, Count, Factor, Index, Matching, Text
from .auxiliary import Auxiliary

LevelName = Annotated[
    Text, Matching(r"[a-z][a-z0-9_]*", "small letters, digits and `_`, starting with a letter: `cascade`")
]


class UnitOverride(Config):
    """What one unit of a level has differently."""

    unit: Index = Field(description="the unit, by the index of its last block")
    weight: Factor | None = Field(None, description="instead of the level's weight")
    auxiliary: Auxiliary | None = Field(None, description="merged over the level's auxiliary network")


class Level(Config):
    """All local units of one window size."""

    name: LevelName = Field(description="part of its units' names")
    window: Count | Literal["all"] = Field(
        1, description="consecutive blocks that gradient flows through; `all`: every block before, nothing is cut"
    )
    weight: Factor = Field(1.0, description="factor on all losses of the level")
    skip: list[Index] = Field([], description="units without a loss, by the index of their last block")
    auxiliary: Auxiliary | None = Field(
        None, description="merged over the top-level auxiliary network; null removes a head"
    )
    units: list[UnitOverride] = Field([], description="overrides for single units")

    aliases: ClassVar[dict[str, str]] = {"size": "window", "w": "window", "lambda": "weight"}

    @property
    def first_end(self) -> int:
        """The first block that ends a unit."""
        return 0 if self.window == "all" else self.window - 1

    def start(self, end: int) -> int:
        """The first block of the unit that ends with block `end`."""
        return 0 if self.window == "all" else end - self.window + 1

    def override(self, unit: int) -> tuple[int, UnitOverride] | None:
        """The override of the unit that ends with block `unit`, and its place in the list."""
        return next(((i, own) for i, own in enumerate(self.units) if own.unit == unit), None)
