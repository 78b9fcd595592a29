"""`train.recompute`: what of a block is computed again in its backward, by name or as the budget decides."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from ...language.schema import Config, Text, problem

Together = Annotated[list[Text], Field(min_length=1)]


class FitRecomputation(Config):
    """Let the budget decide what is computed again; there is nothing to say about how."""


class Recompute(Config):
    """Which layers are computed again in the backward; everything else is kept."""

    layers: Annotated[list[Text | Together], Field(min_length=1)] | None = Field(
        None,
        description="names of layers, each computed again by itself; a name of several layers (`stage1`) stands for "
        "all of them, and a list of names for layers that are computed again together, of which nothing is kept but "
        "what enters the first",
    )
    fit: FitRecomputation | None = Field(
        None, description="let the budget decide: the least recomputation whose predicted peak fits `budget.memory`"
    )

    aliases: ClassVar[dict[str, str]] = {"names": "layers", "segments": "layers", "auto": "fit"}
    alternatives: ClassVar[tuple[str, ...]] = ("layers", "fit")

    @model_validator(mode="after")
    def _one_of(self) -> Recompute:
        given = [key for key in self.alternatives if getattr(self, key) is not None]
        if len(given) > 1:
            message = "`layers` and `fit` exclude each other"
            raise problem("SPC107", message, key="fit", beside="layers", label="delete one of the two")
        if not given:
            help = "`fit: {}` lets the budget decide; `recompute: true` is every layer"
            raise problem("SPC107", "give `layers` or `fit`", label="has none of them", help=help)
        return self
