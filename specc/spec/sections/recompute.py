"""`train.recompute`: what of a block is computed again in its backward, by name or as the budget decides."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ...language.schema import Config, Text

Together = Annotated[list[Text], Field(min_length=1)]


class Recompute(Config):
    """Which layers are computed again in the backward; everything else is kept."""

    layers: Annotated[list[Text | Together], Field(min_length=1)] = Field(
        description="names of layers, each computed again by itself; a name of several layers (`stage1`) stands for "
        "all of them, and a list of names for layers that are computed again together, of which nothing is kept but "
        "what enters the first",
    )

    aliases: ClassVar[dict[str, str]] = {"names": "layers", "segments": "layers"}
