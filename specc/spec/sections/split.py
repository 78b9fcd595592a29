"""`budget`, and `split`: where the backbone is cut, and what the budget may decide about it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ...language.plugged import OneOf
from ...language.schema import Bytes, Config, Count, Text, problem
from ..knobs import KNOBS


class Budget(Config):
    """The most device memory that one training step may take."""

    memory: Bytes = Field(description="bytes, or a number and a unit: `6 GiB`, `512 MB`")
    on_exceed: Literal["error", "warn"] = Field("error", description="what a predicted or measured peak over it is")

    aliases: ClassVar[dict[str, str]] = {"limit": "memory", "size": "memory", "gpu_memory": "memory"}


class Fit(Config):
    """What the budget may decide: where to cut, into how many blocks, and what is allowed to change besides."""

    min_blocks: Count = Field(1, description="no fewer blocks than these")
    max_blocks: Count | None = Field(None, description="no more blocks than these; by default as many as can be cut")
    allow: list[Annotated[str, OneOf(KNOBS, "does")]] = Field(
        [], description="knobs that may be turned where no split alone fits; no more of them than are needed"
    )

    aliases: ClassVar[dict[str, str]] = {"min": "min_blocks", "max": "max_blocks", "knobs": "allow"}

    @model_validator(mode="after")
    def _some_number(self) -> Fit:
        if self.max_blocks is not None and self.max_blocks < self.min_blocks:
            message = f"no number of blocks is at least {self.min_blocks} and at most {self.max_blocks}"
            raise problem("SPC104", message, key="max_blocks", beside="min_blocks", label="below `min_blocks`")
        return self


class Split(Config):
    """Where the backbone is cut into gradient-isolated blocks."""

    blocks: Count | None = Field(
        None,
        description="number of blocks, as equal as the legal cuts allow; EMA links from the next one find layers there",
    )
    by: Literal["layers", "flops", "parameters", "memory"] = Field(
        "layers",
        description="what is made equal; `layers` with parameters; `memory`: what a block keeps for its backward",
    )
    after: list[Text] | None = Field(None, description="names of the layers after which to cut")
    fit: Fit | None = Field(
        None, description="let the budget decide: the fewest blocks whose predicted peak fits, cut for the lowest peak"
    )

    read: dict[Text, Text] = Field(
        {},
        description="for cuts of `after` that several tensors cross, the layer whose value heads read there, in "
        "place of that of the layer that is cut after: `{down3: down2}`",
    )

    aliases: ClassVar[dict[str, str]] = {
        "k": "blocks", "num_blocks": "blocks", "at": "after", "cuts": "after", "auto": "fit",
    }  # fmt: skip
    alternatives: ClassVar[tuple[str, ...]] = ("blocks", "after", "fit")

    @model_validator(mode="after")
    def _one_of(self) -> Split:
        given = [key for key in self.alternatives if getattr(self, key) is not None]
        if len(given) > 1:
            message = f"`{given[0]}` and `{given[1]}` exclude each other"
            raise problem("SPC107", message, key=given[1], beside=given[0], label="delete one of the two")
        if not given:
            message = "give `blocks`, `after` or `fit`"
            raise problem("SPC107", message, label="has none of them", help="`fit: {}` lets the budget decide")
        if self.read and self.after is None:
            message = f"`read` speaks of the cuts in `after`, but `{given[0]}` decides where to cut"
            raise problem("SPC107", message, key="read", beside=given[0], label="delete one of the two")
        if self.by != "layers" and self.blocks is None:
            message = f"`by` says how `blocks` are made, but `{given[0]}` decides where to cut"
            raise problem("SPC107", message, key="by", beside=given[0], label="delete one of the two")
        return self
