"""`auxiliary`: the heads of a unit, and how one section is merged over another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.fields import FieldInfo

from ...language.plugged import Plugged
from ...language.schema import Config
from ...learning.heads import (
    HEADS,
    Augmented,
    Classifier,
    Decoder,
    Goodness,
    Head,
    Periodic,
    Pointwise,
    PooledLinear,
    Similarity,
)


class Auxiliary(Config):
    """The heads of a unit's auxiliary network."""

    classifier: Classifier | None = Field(None, description="a local classifier")
    pointwise: Pointwise | None = Field(None, description="DGL's classifier: pointwise convolutions and an MLP")
    pooled_linear: PooledLinear | None = Field(None, description="PredSim's classifier: pooling and one linear layer")
    augmented: Augmented | None = Field(
        None, description="AugLocal's classifier: layers shaped like the backbone's rest"
    )
    periodic: Periodic | None = Field(None, description="LLS: fixed periodic vectors instead of a trained classifier")
    goodness: Goodness | None = Field(None, description="Forward-Forward: activity for what is right against the rest")
    similarity: Similarity | None = Field(None, description="PredSim's similarity matching")
    reconstruction: Decoder | None = Field(None, description="a decoder that restores the image; `decoder` is read too")

    aliases: ClassVar[dict[str, str]] = {"classification": "classifier"}

    def heads(self) -> dict[str, Head]:
        """The heads that are present, by their key in the spec."""
        return {name: head for name in type(self).model_fields if (head := getattr(self, name)) is not None}

    def with_heads(self, change: Callable[[Head], Head]) -> Auxiliary:
        """The same with every head changed."""
        return self.model_copy(update={name: change(head) for name, head in self.heads().items()})


for _name in HEADS.added:  # each under a key of its own
    _own = Auxiliary.model_fields[_name].annotation if _name in Auxiliary.model_fields else Head | None
    _kind: Any = Annotated[_own, Plugged(HEADS, name=_name)]
    _about = Field(None, description=f"a head of `{HEADS.origin(_name)}`")
    Auxiliary.__pydantic_fields__[_name] = FieldInfo.from_annotated_attribute(_kind, _about)
if HEADS.added:
    Auxiliary.model_rebuild(force=True)


def merge(base: Auxiliary, *overrides: Auxiliary | None) -> Auxiliary:
    """`base` with every key that an override really sets put over it, however deep."""
    merged: dict[str, Any] = base.model_dump(exclude_unset=True)
    for override in filter(None, overrides):
        merged = _merge(merged, override.model_dump(exclude_unset=True))
    return Auxiliary.model_validate(merged)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
