"""What stands at the end of each of K blocks: weights of zero leave heads out, and some heads depend on their number.

Where two blocks play the same role, and their neighbours' units reach as far, what they add to memory is the same
function of where they are cut. A search over cuts asks for roles instead of for numbers.
"""

from __future__ import annotations

from functools import cache

from ..compiler.partition import covered
from ..compiler.places import Seat
from ..compiler.units import of_seat
from ..spec.models import SpecModel
from ..spec.sections.auxiliary import Auxiliary
from ..spec.sections.levels import Level

Role = tuple[object, ...]  # of each level: what its unit has there, None where it has no loss
Setting = tuple[object, ...]  # a block's role, and which units of its neighbours have losses


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
        losses = tuple((k - number, self._losses(k, count)) for k in near if k != number)
        return number == count - 1, self.role(number, count), losses

    def possible(self, count: int) -> bool:
        """Whether the spec can have so many blocks: units that are named are there, lists fit, no block is left out."""
        levels = self.config.levels
        if any(level.first_end >= count or not self._named(level, count) for level in levels):
            return False
        seats = [Seat(level, k, count) for level in levels for k in range(level.first_end, count)]
        seats = [seat for seat in seats if seat.exists]
        if any(not seat.last and not self._listed(seat) for seat in seats):
            return False
        trained = [s for s in seats if (s.weight or self.keep) and (s.last or self._of(s).heads())]
        return all(covered(((s.level.start(s.number), s.number) for s in trained), count))

    def _named(self, level: Level, count: int) -> bool:
        return all(level.first_end <= k < count for k in (*level.skip, *(own.unit for own in level.units)))

    def _listed(self, seat: Seat) -> bool:
        lists = (head.weight for head in self._of(seat).heads().values() if isinstance(head.weight, list))
        return all(len(weights) == seat.with_heads for weights in lists)

    def _losses(self, number: int, count: int) -> tuple[bool, ...]:
        return tuple(there is not None for there in self.role(number, count))

    def _role(self, number: int, count: int) -> Role:
        return tuple(self._at(Seat(level, number, count)) for level in self.config.levels)

    def _at(self, seat: Seat) -> object:
        """What the unit has: its heads, and how they are built there; None where it has no loss."""
        if not seat.exists:
            return None
        if seat.last:
            return "final" if seat.weight or self.keep else None
        heads = self._of(seat).heads().items()
        place = seat.index, seat.with_heads
        alive = tuple(
            (key, head.varies(*place)) for key, head in heads if self.keep or seat.weight * head.weight_at(*place)
        )
        own = seat.level.override(seat.number)
        return (own and own[0], alive) if alive else None

    def _of(self, seat: Seat) -> Auxiliary:
        own = seat.level.override(seat.number)
        key = seat.level.name, own and own[0]
        if key not in self._auxiliary:
            self._auxiliary[key] = of_seat(self.config, seat)
        return self._auxiliary[key]
