"""A surface through measured times: what they rise with, bent towards every point that is near (kriging)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..profiles.model import Curve

NOISE = 0.12  # of a measurement, as a logarithm to the base of two
REACH = 3.0  # how far a point is felt, in units of a feature
FLOOR = 2e-7  # seconds
ROUNDS = 4000  # of the search for factors
_ALIGNED = 16
_CACHED = 20.0  # log2 of the numbers from which a cache does not hold them


def fit(points: Sequence[Sequence[float]], seconds: Sequence[float]) -> Curve:
    """The surface through measured times."""
    import numpy as np

    x, t = np.asarray(points, float), np.asarray(seconds, float)
    slopes = _slopes(causes(x) / t[:, None])
    left = np.log2(t) - _rising(x, slopes)
    near = _near(x, x) + NOISE**2 / (float(left.var()) + 1e-3) * np.eye(len(t))
    weights = np.linalg.solve(near, left)
    return Curve(tuple(float(f"{v:.4g}") for v in slopes), tuple(float(f"{v:.4g}") for v in weights))


def seconds_at(curve: Curve, points: Sequence[Sequence[float]], asked: Sequence[Sequence[float]]) -> list[float]:
    """The times that a surface has at some features."""
    import numpy as np

    x = np.asarray(asked, float)
    logs = _rising(x, np.asarray(curve.slopes)) + _near(x, np.asarray(points, float)) @ np.asarray(curve.weights)
    found: list[float] = np.exp2(logs).tolist()
    return found


def _rising(x: Any, slopes: Any) -> Any:
    import numpy as np

    return np.log2(np.maximum(causes(x) @ slopes, FLOOR))


def _near(x: Any, points: Any) -> Any:
    """How much each point has to say of each place: less with the distance."""
    import numpy as np

    apart = np.sqrt(((x[:, None, :] - points[None]) ** 2).sum(2)) / REACH
    return (1 + apart) * np.exp(-apart)


def _slopes(shares: Any) -> Any:
    """Factors, none negative, with which the sums are nearest to the times, relative to them (Lee and Seung 2001)."""
    import numpy as np

    scale = shares.max(0) + 1e-300
    a = shares / scale
    gram, wanted = a.T @ a, a.T @ np.ones(len(a))
    found = np.full(a.shape[1], 1.0 / a.shape[1])
    for _ in range(ROUNDS):
        found *= wanted / (gram @ found + 1e-300)
    return found / scale


def causes(x: Any) -> Any:
    """What the time of a work rises with, by the number of its features: see `features`."""
    return {2: _moves, 4: _mixing, 5: _linear, 11: _convolution}.get(x.shape[1], _numbers)(x)


def _moves(x: Any) -> Any:
    """Calls, and bytes: all of them, and those beyond what a cache holds."""
    import numpy as np

    size, calls = x.T
    total = np.exp2(size + calls)
    return np.stack([np.ones(len(x)), np.exp2(calls), total, total * (size + calls > _CACHED + 1)], 1)


def _mixing(x: Any) -> Any:
    """Products and softmax of all pairs of tokens, queries, keys and values."""
    import numpy as np

    heads, tokens, width, low = x.T
    terms = (heads + 2 * tokens + width, heads + 2 * tokens, heads + tokens + width, heads)
    return _each(np.exp2(np.stack(terms, 1)), [1 - low, low])


def _linear(x: Any) -> Any:
    """FLOPs, and bytes of the input, the result and the weights."""
    import numpy as np

    rows, into, out, _, low = x.T
    wide = np.exp2(np.stack((rows + into, rows + out, into + out), 1)) * np.where(low > 0, 0.5, 1.0)[:, None]
    return _each(np.concatenate((np.exp2(rows + into + out)[:, None], wide), 1), [1 - low, low])


def _convolution(x: Any) -> Any:
    """FLOPs, those with channels filled up, bytes of the input, the result and the weights, and unfolded windows."""
    import numpy as np

    places, _, into, out, groups, k, stride, _, _, swapped, low = x.T
    filled = [np.ceil(np.round(np.exp2(side)) / _ALIGNED) * _ALIGNED for side in (into, out)]
    terms = (places + into + out + groups + k, places + stride + into + groups, places + out + groups,
             into + out + groups + k, places + k + into + groups)  # fmt: skip
    sizes = np.concatenate(
        (np.exp2(np.stack(terms, 1)), (np.exp2(places + groups + k) * filled[0] * filled[1])[:, None]), 1
    )
    return _each(sizes, _ways(swapped, low))


def _numbers(x: Any) -> Any:
    """Numbers, positions, channels, windows, and numbers beyond what a cache holds."""
    import numpy as np

    count, channels, positions, ratio, window, swapped, low = x.T
    sizes = np.exp2(np.stack((count, count - channels, count - positions), 1))
    further = np.stack((np.exp2(count - ratio + window), np.exp2(count) * (count - low > _CACHED - 2)), 1)
    return np.concatenate((_each(sizes, _ways(swapped, low)), further), 1)


def _ways(swapped: Any, low: Any) -> list[Any]:
    """Which of the memory formats and precisions it is."""
    return [(1 - swapped) * (1 - low), swapped * (1 - low), (1 - swapped) * low, swapped * low]


def _each(sizes: Any, ways: Sequence[Any]) -> Any:
    """Of every way its own, and what is the same for all."""
    import numpy as np

    return np.concatenate([np.ones((len(sizes), 1)), *(sizes * way[:, None] for way in ways)], 1)
