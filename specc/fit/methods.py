"""What a method of local learning means for a spec: heads, levels and links, on any network and any images."""

from __future__ import annotations

from dataclasses import dataclass

from ..learning.heads import Head, Ramp
from ..spec.models import SpecModel

PARTS = ("auxiliary", "levels", "ema_links")


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its name, and a spec that has it."""

    name: str
    config: SpecModel

    def on(self, config: SpecModel) -> SpecModel:
        """The configuration trained by the method, for any number of blocks."""
        taken = {part: getattr(self.config, part) for part in PARTS}
        return for_any_blocks(config.model_copy(update=taken))

    def is_that_of(self, config: SpecModel) -> bool:
        """Whether a spec says the same of how it learns, whatever its weights."""
        one, other = (weightless(each) for each in (self.config, config))
        return all(getattr(one, part) == getattr(other, part) for part in PARTS)


def for_any_blocks(config: SpecModel) -> SpecModel:
    """Lists of weights, one a unit, as a line from their first to their last."""
    return config.with_heads(_ramped)


def _ramped(head: Head) -> Head:
    if not isinstance(head.weight, list):
        return head
    return head.model_copy(update={"weight": Ramp(first=head.weight[0], last=head.weight[-1])})


def weightless(config: SpecModel) -> SpecModel:
    """The configuration with all weights of heads alike."""
    return config.with_heads(lambda head: head.model_copy(update={"weight": 1.0}))
