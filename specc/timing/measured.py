"""Time by what was measured on a device: every kind of work has a table, and what has none goes by the data sheet."""

from __future__ import annotations

from collections.abc import Iterable

from ..profiles import Profile
from ..profiles.model import Precision, Table
from .features import TURNED, Features, features_of, is_together, kind_of
from .roofline import seconds as by_sheet
from .surface import seconds_at
from .work import Work

Place = tuple[str, str, Features]  # kind, direction, features


class Times:
    """The times of works on a device; what was asked once is remembered."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.known: dict[Place, float] = {}

    def of(self, works: Iterable[Work], precision: Precision) -> list[float]:
        """Seconds of each."""
        listed = list(works)
        places = [self._place(work) for work in listed]
        self._learn({place for place in places if place and place not in self.known})
        return [self._seconds(work, place, precision) for work, place in zip(listed, places, strict=True)]

    def _seconds(self, work: Work, place: Place | None, precision: Precision) -> float:
        if place is None:
            return by_sheet(work, self.profile, precision)
        return self.known[place] * (1 if is_together(work) else work.calls)

    def _place(self, work: Work) -> Place | None:
        """Where a work is looked up; None where nothing like it was measured."""
        kind, features = kind_of(work), features_of(work)
        if kind not in self.profile.tables:
            kind = kind.removesuffix(TURNED)
        table = self.profile.tables.get(kind)
        if table is None or not _fits(table, features):
            return None
        direction = work.direction if work.direction in table.curves else "forward"
        return (kind, direction, features) if direction in table.curves else None

    def _learn(self, places: set[Place]) -> None:
        groups: dict[tuple[str, str], list[Features]] = {}
        for kind, direction, features in places:
            groups.setdefault((kind, direction), []).append(features)
        for (kind, direction), asked in groups.items():
            table = self.profile.tables[kind]
            found = seconds_at(table.curves[direction], table.points, asked)
            self.known.update(zip(((kind, direction, features) for features in asked), found, strict=True))


def _fits(table: Table, features: Features) -> bool:
    """Whether the table was made by this version's features."""
    return len(table.points[0]) == len(features)


_TIMES: dict[int, Times] = {}  # by profile, which each holds


def times_on(profile: Profile) -> Times:
    """The times on a device."""
    known = _TIMES.get(id(profile))
    if known is None or known.profile is not profile:
        known = _TIMES[id(profile)] = Times(profile)
    return known
