"""What stands at the end of each of K blocks: weights of zero leave heads out, and some heads depend on their number.

Where two blocks play the same role, and their neighbours' units reach as far, what they add to memory is the same
function of where they are cut. A search over cuts asks for roles instead of for numbers.
"""

from __future__ import annotations

from functools import cache

from ..compiler.partition import covered
from ..compiler.site import UnitPosition
from ..language.source import Path
from ..spec.models import SpecModel
from ..spec.sections.auxiliary import Auxiliary

Role = tuple[object, ...]  # of each level: what its unit has there, None where it has no loss
Setting = tuple[object, ...]  # a block's role, and which units of its neighbours have losses


def with_one_weight(config: SpecModel) -> SpecModel:
    """The configuration with lists of weights, one a unit, replaced by one number: fit for any number of units."""
    return config.with_heads(lambda h: h.model_copy(update={"weight": 1.0}) if isinstance(h.weight, list) else h)


def lists_of_weights(config: SpecModel) -> dict[Path, int]:
    """Where the configuration lists one weight a unit, and how many."""
    return {(*at, "weight"): len(head.weight) for at, head in config.heads() if isinstance(head.weight, list)}


class Roles:
    """The roles of blocks under one configuration."""

    def __init__(self, config: SpecModel) -> None:
        self.config, self.keep = config, config.train.zero_weight_heads == "keep"
        self.window = max(int(level.window) for level in config.levels)
        self.role = cache(self._role)
        self._auxiliary: dict[tuple[str, int | None], Auxiliary] = {}

    def setting(self, number: int, count: int) -> Setting:
        """What the memory of block `number` of `count` may depend on, beside the cuts around it."""
        near = range(max(0, number - self.window + 1), min(count, number + self.window))
        losses = tuple((k - number, *(there is not None for there in self.role(k, count))) for k in near if k != number)
        return number == count - 1, self.role(number, count), losses

    def possible(self, count: int) -> bool:
        """Whether the spec can have so many blocks: units that are named are there, lists fit, no block is left out."""
        levels = [(level, range(level.first_end, count)) for level in self.config.levels]
        if any(not ends or any(k not in ends for _, k in level.named()) for level, ends in levels):
            return False
        positions = [UnitPosition(level, k, count) for level, ends in levels for k in ends]
        positions = [position for position in positions if position.exists]
        if any(not position.last and not self._listed(position) for position in positions):
            return False
        trained = [s for s in positions if (s.weight or self.keep) and (s.last or self._of(s).heads())]
        return all(covered(((s.level.start(s.number), s.number) for s in trained), count))

    def _listed(self, position: UnitPosition) -> bool:
        lists = (head.weight for head in self._of(position).heads().values() if isinstance(head.weight, list))
        return all(len(weights) == position.with_heads for weights in lists)

    def _role(self, number: int, count: int) -> Role:
        return tuple(self._at(UnitPosition(level, number, count)) for level in self.config.levels)

    def _at(self, position: UnitPosition) -> object:
        """What the unit has: its heads, and how they are built there; None where it has no loss."""
        if not position.exists:
            return None
        if position.last:
            return "final" if position.weight or self.keep else None
        heads = self._of(position).heads().items()
        place = position.index, position.with_heads
        alive = tuple(
            (key, head.varies(*place)) for key, head in heads if self.keep or position.weight * head.weight_at(*place)
        )
        own = position.level.override(position.number)
        return (own and own[0], alive) if alive else None

    def _of(self, position: UnitPosition) -> Auxiliary:
        own = position.level.override(position.number)
        key = position.level.name, own and own[0]
        if key not in self._auxiliary:
            self._auxiliary[key] = position.auxiliary(self.config)
        return self._auxiliary[key]
