"""`train.checkpoint`: when the state of a run is saved, and which of the saved ones stay."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...language.schema import Config, Count, Matching, Text

Unit = Literal["epoch", "step", "minute"]
Every = Annotated[
    Text,
    Matching(r"[1-9][0-9]{0,8} (epoch|step|minute)s?",
             "a whole number and what is counted: `1 epoch`, `500 steps`, `10 minutes`"),
]  # fmt: skip


class KeepBest(Config):
    """Which checkpoint is the best."""

    metric: Text = Field(
        "", description="of the evaluation: one of the task's, or `loss`; by default the task's first one"
    )

    aliases: ClassVar[dict[str, str]] = {"monitor": "metric", "by": "metric", "name": "metric"}


class Checkpoints(Config):
    """When the state of a run is saved, beside its first and its last one, and which of them stay."""

    every: Every = Field("1 epoch", description="how often: `1 epoch`, `500 steps`, `10 minutes`")
    keep_last: Count = Field(
        2, description="how many of the last ones stay; where the newest is damaged, the one before is gone on with"
    )
    keep_best: KeepBest | None = Field(None, description="keep that of the best evaluation too, saved after its epoch")

    aliases: ClassVar[dict[str, str]] = {
        "interval": "every", "frequency": "every", "keep": "keep_last", "save_top_k": "keep_last", "best": "keep_best",
    }  # fmt: skip

    @property
    def interval(self) -> tuple[int, Unit]:
        """How many of what lie between two of them."""
        number, unit = self.every.split()
        units: dict[str, Unit] = {"epoch": "epoch", "step": "step", "minute": "minute"}
        return int(number), units[unit.removesuffix("s")]
