"""Where things go in a picture: round numbers on axes, labels that keep apart from each other and from lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .drawing import text_width

KIB = 1024


def byte_ticks(most: float, count: int = 5) -> list[tuple[int, str]]:
    """At most `count` round sizes from 0 on, the last one not above `most`, with what stands beside them.

    >>> [text for _, text in byte_ticks(8.1 * 1024**3)], [text for _, text in byte_ticks(1.2 * 1024**2)]
    (['0', '2 GiB', '4 GiB', '6 GiB', '8 GiB'], ['0', '0.5 MiB', '1 MiB'])
    """
    names = ["B", "KiB", "MiB", "GiB", "TiB"]
    power = max(n for n in range(len(names)) if n == 0 or KIB**n <= most)
    unit = KIB**power
    steps = (round(unit * digit * scale) for scale in (0.01, 0.1, 1, 10, 100, 1000) for digit in (1, 2, 5))
    step = next(step for step in steps if step and most // step < count)
    return [(i * step, f"{i * step / unit:.4g} {names[power]}" if i else "0") for i in range(int(most // step) + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in the same order, as near to those that are wanted as may be, at least `gap` apart and between two ends.

    >>> spread([10, 11, 50], 6, 0, 100)
    [7.5, 13.5, 50]
    """
    groups: list[tuple[list[int], float]] = []  # what touches, and the middle of it
    for i in sorted(range(len(wanted)), key=lambda i: wanted[i]):
        groups.append(([i], _inside([wanted[i]], gap, low, high)))
        while len(groups) > 1 and _touch(groups[-2], groups[-1], gap):
            members = groups[-2][0] + groups[-1][0]
            groups[-2:] = [(members, _inside([wanted[m] for m in members], gap, low, high))]
    found = {
        m: centre + gap * (n - (len(members) - 1) / 2) for members, centre in groups for n, m in enumerate(members)
    }
    return [found[i] for i in range(len(wanted))]


def _inside(wanted: Sequence[float], gap: float, low: float, high: float) -> float:
    """The middle of a group, where all of it is between the ends."""
    half = gap * (len(wanted) - 1) / 2
    return max(min(sum(wanted) / len(wanted), high - half), low + half)


def _touch(one: tuple[list[int], float], other: tuple[list[int], float], gap: float) -> bool:
    return other[1] - one[1] < gap * (len(one[0]) + len(other[0])) / 2


@dataclass(frozen=True)
class Box:
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether they overlap."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def shelf(points: Sequence[tuple[float, float]], width: float, height: float, ends: tuple[float, float],
          taken: Iterable[Box] = ()) -> Box:  # fmt: skip
    """The lowest place for a label above a line through `points`, clear of what is `taken`; of equals the last."""
    taken, left = tuple(taken), ends[0]
    found: list[Box] = []
    while left + width <= ends[1] or not found:
        under = [y for x, y in points if left - 2 <= x <= left + width + 2]
        box = Box(left, max(under, default=0.0), left + width, max(under, default=0.0) + height)
        while any(other.meets(box) for other in taken):
            top = max(other.top for other in taken if other.meets(box))
            box = Box(left, top, left + width, top + height)
        found.append(box)
        left += 4
    return min(reversed(found), key=lambda box: box.bottom)


def shortened(text: str, size: float, width: float) -> str:
    """The text, or as much of both its ends as fits."""
    if text_width(text, size) <= width:
        return text
    keep = len(text) - 1
    while keep > 2 and text_width(_cut(text, keep), size) > width:
        keep -= 1
    return _cut(text, keep)


def _cut(text: str, keep: int) -> str:
    return f"{text[: -(-keep // 2)].rstrip()}…{text[len(text) - keep // 2 :].lstrip()}"


def every(labels: Sequence[tuple[float, float, str]], size: float) -> int:
    """The least n so that each n-th number fits between its neighbours; `labels` are left, right and text of places."""
    for n in (1, 2, 5, 10, 20, 50, 100):
        ends, room = float("-inf"), True
        for left, right, text in labels:
            if not text.isdigit() or int(text) % n:
                continue
            half = text_width(text, size) / 2
            room, ends = room and (left + right) / 2 - half >= ends + 3, (left + right) / 2 + half
        if room:
            return n
    return 1000
