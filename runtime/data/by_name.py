"""Which samples are held out, decided by their names: adding or removing files leaves the others where they are.

held = held_out(["cat/0.png", "cat/1.png", ...], labels, 0.1)   # a tenth of every class, and one of it at least
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def held_out(names: Sequence[str], labels: Sequence[Hashable], fraction: float) -> NDArray[np.bool_]:
    """Whether each sample is held out: of every class the `fraction` whose names' hashes are the smallest.

    A class of two samples or more has one on each side.
    """
    places: dict[Hashable, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    found = np.zeros(len(names), dtype=np.bool_)
    for members in places.values():
        members.sort(key=lambda place: rank(names[place]))
        found[members[: _share(len(members), fraction)]] = True
    return found


def _share(size: int, fraction: float) -> int:
    return min(max(round(size * fraction), 1), size - 1) if fraction > 0 else 0


def rank(name: str) -> tuple[int, str]:
    """Where a name comes in an order that has nothing to do with the alphabet, and is the same everywhere."""
    return int.from_bytes(blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest(), "big"), name
