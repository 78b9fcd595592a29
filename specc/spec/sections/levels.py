"""`levels` and `ema_links`: the local units of each window size, and the averaged copies of later layers in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...language.schema import Bool, Config, Count, Factor, Fraction, Index, Matching, Text
from ...language.source import Path
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

    def named(self) -> Iterator[tuple[Path, int]]:
        """Units that are named by their number, and where in the level."""
        yield from ((("skip", j), unit) for j, unit in enumerate(self.skip))
        yield from ((("units", j, "unit"), own.unit) for j, own in enumerate(self.units))

    def override(self, unit: int) -> tuple[int, UnitOverride] | None:
        """The override of the unit that ends with block `unit`, and its place in the list."""
        return next(((i, own) for i, own in enumerate(self.units) if own.unit == unit), None)


class EmaLink(Config):
    """An exponential moving average of the first layers of a later block (MAN, 2407.05623, section 3.2)."""

    source: Text = Field(
        "next",
        alias="from",
        description="name of the first layer to copy, or `next`: the first that read the features and have parameters",
    )
    layers: Count = Field(1, description="how many layers to copy; fewer where the block ends before")
    momentum: Fraction = Field(0.995, description="m in ema <- m ema + (1 - m) source")
    bias: Literal["branch", "scaled", "parameter", "none"] = Field(
        "branch",
        description="`branch`: a trainable copy beside the average, outputs added (MAN's released code); `scaled`: "
        "s branch + (2 - s) average with one trained s (MAN++); `parameter`: a trained tensor added to each average",
    )
    average_buffers: Bool = Field(
        False, description="average running statistics too; by default the copy keeps its own"
    )
    init: Literal["independent", "copy"] = Field(
        "independent", description="both copies drawn anew (MAN's released code) or started at the source's values"
    )
    levels: list[Text] | None = Field(None, description="levels whose units have the link; by default all")

    aliases: ClassVar[dict[str, str]] = {"m": "momentum", "decay": "momentum", "source": "from"}
