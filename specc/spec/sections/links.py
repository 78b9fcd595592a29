"""`ema_links`: averaged copies of later layers in the auxiliary networks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Bool, Config, Count, Fraction, Text


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
