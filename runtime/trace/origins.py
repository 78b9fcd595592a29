"""Where in the image the numbers of a value come from: coordinates that go with them from call to call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

import torch
from torch import Tensor

MOST = 4  # origins of one value; of what has more nothing is said
FINE = 1024  # of a pixel: what is nearer than that is rounding
NEAR = 0.75  # of the way from one place to the next: what is nearer than that is the same place
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Origin:
    """A row and a column for every number of a value, as it was in the image; nan for what is from nowhere in it.

    Both are as small as can be, and repeated along the axes in which they have one entry.
    """

    y: Tensor
    x: Tensor
    shape: tuple[int, ...]

    @property
    def whole(self) -> tuple[Tensor, Tensor]:
        """Both in the value's own shape."""
        return self.y.expand(self.shape), self.x.expand(self.shape)

    @cached_property
    def steps(self) -> tuple[float, float]:
        """How far apart neighbouring rows are, and columns."""
        return _step(self.y), _step(self.x)

    @cached_property
    def axes(self) -> frozenset[int]:
        """The axes along which the places differ."""
        return frozenset(axis for each in (self.y, self.x) for axis, size in enumerate(each.shape) if size > 1)

    @cached_property
    def count(self) -> int:
        """How many places there are."""
        y, x = torch.broadcast_tensors(self.y, self.x)
        known = ~(y.isnan() | x.isnan())
        return len(torch.unique(torch.stack([y[known], x[known]], 1).mul(FINE).round(), dim=0))

    def changed(self, change: Change) -> Origin:
        """The origin of numbers that are put elsewhere."""
        return origin(*map(change, self.whole))

    def averaged(self, change: Change) -> Origin:
        """The origin of weighted means, where all weights are one; nothing comes from what is from nowhere."""
        return origin(*(_averaged(change, each) for each in self.whole))

    def mean(self, dims: Sequence[int], keep: bool) -> Origin:
        """The origin of what is made of all along some axes; of all axes if none are named."""
        along = sorted(d % len(self.shape) for d in dims) or list(range(len(self.shape)))
        y, x = (_averaged(lambda t: t.sum(along, keepdim=True), each) for each in (self.y, self.x))
        shape = tuple(1 if axis in along else size for axis, size in enumerate(self.shape))
        found = Origin(y, x, shape)
        return found if keep else found.reshaped([size for axis, size in enumerate(shape) if axis not in along])

    def reshaped(self, shape: Sequence[int]) -> Origin:
        """The origin of a view; axes that it leaves as they are at both ends stay small."""
        old, new = self.shape, tuple(shape)
        tail = _alike(old[::-1], new[::-1])
        head = _alike(old[: len(old) - tail], new[: len(new) - tail])

        def change(t: Tensor) -> Tensor:
            end = t.dim() - tail
            whole = t.expand(*t.shape[:head], *old[head:end], *t.shape[end:])
            return whole.reshape(*t.shape[:head], *new[head : len(new) - tail], *t.shape[end:])

        return Origin(_thin(change(self.y)), _thin(change(self.x)), new)

    def spread(self, shape: Sequence[int]) -> Origin:
        """The origin of a value that is repeated to a shape."""
        if tuple(shape) == self.shape:
            return self
        y, x = (each.view(*[1] * (len(shape) - each.dim()), *each.shape) for each in (self.y, self.x))
        return Origin(y, x, tuple(shape))

    def like(self, other: Origin) -> bool:
        """Whether they are the same places, or nearly."""
        pairs = zip((self.y, self.x), (other.y, other.x), strict=True)
        alike = (self.shape, self.axes) == (other.shape, other.axes)
        return self is other or (
            alike and all(_near(*pair, step) for pair, step in zip(pairs, self.steps, strict=True))
        )


def origin(y: Tensor, x: Tensor) -> Origin:
    """The origin with these coordinates, kept small."""
    return Origin(_thin(y), _thin(x), tuple(y.shape))


def of_images(shape: Sequence[int]) -> Origin:
    """That of a batch of images (N, C, H, W), or of signals (N, C, L)."""
    h, w = shape[2:] if len(shape) == 4 else (1, shape[2])
    y, x = (torch.arange(n, dtype=torch.float64, device="cpu") for n in (h, w))
    return origin((y.view(h, 1) if len(shape) == 4 else y).expand(*shape), x.expand(*shape))


def several(found: Iterable[Origin]) -> tuple[Origin, ...]:
    """Without those that are alike; those that tell fewer places along the same axes tell nothing more."""
    kept: list[Origin] = []
    for each in found:
        if not any(each.like(other) for other in kept):
            kept.append(each)
    told = [
        each for each in kept if not any(o is not each and each.axes <= o.axes and each.count < o.count for o in kept)
    ]
    return tuple(told) if len(told) <= MOST else ()


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    """How many numbers they begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def beside(found: Sequence[Origin | None], shapes: Sequence[Sequence[int]], axis: int) -> Origin:
    """The origin of values of these shapes that are put side by side; None is from nowhere."""
    axis, rank = axis % len(shapes[0]), len(shapes[0])
    nowhere = torch.full([1] * rank, torch.nan, dtype=torch.float64, device="cpu")
    shape = [sum(each[i] for each in shapes) if i == axis else shapes[0][i] for i in range(rank)]

    def joined(parts: Sequence[Tensor]) -> Tensor:
        sizes = [max(part.shape[i] for part in parts) for i in range(rank)]
        each = (
            p.expand([own[i] if i == axis else sizes[i] for i in range(rank)])
            for p, own in zip(parts, shapes, strict=True)
        )
        return _thin(torch.cat([*each], axis))

    y, x = ([nowhere if o is None else getattr(o, name) for o in found] for name in ("y", "x"))
    return Origin(joined(y), joined(x), tuple(shape))


def _averaged(change: Change, t: Tensor) -> Tensor:
    known = ~t.isnan()
    total, count = change(t.nan_to_num()), change(known.to(t.dtype))
    return torch.where(count > 0, (total / count).mul(FINE).round() / FINE, torch.nan)


def _thin(t: Tensor) -> Tensor:
    """Once only what is the same all along an axis."""
    t = t[tuple(slice(0, 1) if step == 0 else slice(None) for step in t.stride())]
    told = t.nan_to_num(-1.0)
    for axis, size in enumerate(t.shape):
        first = told.narrow(axis, 0, min(1, size))
        if size > 1 and bool((told == first).all()):
            t, told = t.narrow(axis, 0, 1), first
    return t.clone()


def _step(t: Tensor) -> float:
    places = torch.unique(t[~t.isnan()].mul(FINE).round()) / FINE
    return float((places[-1] - places[0]) / (len(places) - 1)) if len(places) > 1 else 1.0


def _near(a: Tensor, b: Tensor, step: float) -> bool:
    away = (a - b).abs()
    return bool((a.isnan() == b.isnan()).all()) and not bool((away > NEAR * step).any())


def grid(found: Origin) -> tuple[int, int, int] | None:
    """Rows, columns and how many come before them, of tokens (N, T, C) in the order of a picture.

    Where their channels come from several places they stand in the middle of these.
    """
    found = found.mean([2], True)
    if found.y.shape[0] > 1 or found.x.shape[0] > 1:
        return None
    y, x = (each.flatten() for each in (found.y.expand(found.shape)[:1], found.x.expand(found.shape)[:1]))
    skip = int(y.isnan().cumprod(0).sum())
    y, x = y[skip:], x[skip:]
    if not len(y) or bool(y.isnan().any()):
        return None
    h = 1 + int((y.diff() > 0.25 * found.steps[0]).sum())
    if len(y) % h:
        return None
    rows, columns = y.view(h, -1), x.view(h, -1)
    straight = _near(rows, rows[:, :1], 0.1 * found.steps[0]) and _near(columns, columns[:1], 0.1 * found.steps[1])
    rising = bool((rows[:, 0].diff() > 0).all()) and bool((columns[0].diff() > 0).all())
    return (h, columns.shape[1], skip) if straight and rising else None


def turned(found: Origin) -> Origin:
    """That of tokens with their channels first."""
    return found.changed(lambda t: t.transpose(1, 2))
