"""Follows the numbers of an image through calls of torch: those that move, those that are averaged, those that ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .origins import Change, Origin, beside, origin, several

Origins = tuple[Origin, ...]
MOVES = frozenset({
    "roll", "flip", "repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d", "unsafe_split",
})  # fmt: skip
KEEPS = frozenset({
    "_to_copy", "clone", "hardswish", "hardsigmoid", "mish",
    "_softmax", "_safe_softmax", "_log_softmax", "native_layer_norm", "native_batch_norm", "native_group_norm",
    "native_dropout", "_fused_rms_norm", "cumsum",
})  # fmt: skip
# what makes one number of those along some axes, and where the axes stand among the arguments
REDUCES = {"mean": 1, "sum": 1, "amax": 1, "amin": 1, "logsumexp": 1, "var": 1, "std": 1, "max": 1, "min": 1,
           "linalg_vector_norm": 2, "prod": 1}  # fmt: skip
RESIZES = frozenset({
    "upsample_bilinear2d", "upsample_nearest2d", "upsample_bicubic2d", "_upsample_bicubic2d_aa",
    "_upsample_bilinear2d_aa", "_adaptive_avg_pool2d", "avg_pool2d", "avg_pool1d",
})  # fmt: skip


class Following(TorchDispatchMode):
    """While entered, knows the origins of all that is made of the values that it was told of.

    What it has no rule for comes from nowhere that is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, tuple[Tensor, Origins]] = {}  # the tensors too, so that no other gets the same id
        self.sharing: dict[int, list[Tensor]] = {}  # by their storage

    def of(self, value: Any) -> Origins:
        """The origins of a value."""
        return self.known[id(value)][1] if isinstance(value, Tensor) and id(value) in self.known else ()

    def tell(self, value: Tensor, found: Origins) -> None:
        """Where a value comes from."""
        self.known[id(value)] = value, found
        self.sharing.setdefault(value.untyped_storage()._cdata, []).append(value)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and note where the result comes from."""
        result = func(*args, **(kwargs or {}))
        name = func.__name__.partition(".")[0]
        if func._schema.is_mutable:
            self._forget(args[0])
        elif any(map(self.of, _flat(args))):
            with torch._C.DisableTorchFunction():
                found = self._found(func, name.rstrip("_"), args, kwargs or {}, result)
            for value, origins in zip(_flat((result,)), found, strict=False):
                if origins and value.is_floating_point():
                    self.tell(value, origins)
        return result

    def _forget(self, written: Tensor) -> None:
        """Numbers were written into a tensor: what shares them comes from nowhere that is known."""
        for value in self.sharing.pop(written.untyped_storage()._cdata, ()):
            self.known[id(value)] = value, ()

    def _found(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> list[Origins]:
        """The origins of every tensor of the result."""
        first = self.of(args[0])
        if name in ("view", "_unsafe_view", "_reshape_alias"):
            return [several(o.reshaped(result.shape) for o in first)]
        if func.is_view or name in MOVES:
            return _moved(func, first, args[1:], kwargs)
        if name in ("cat", "stack"):
            return [self._joined(args[0], args[1] % result.dim() if len(args) > 1 else 0, name == "stack")]
        if torch.Tag.pointwise in func.tags:
            shape = tuple(result.shape)
            return [several(o.spread(shape) for value in _flat(args) for o in self.of(value))]
        if name in KEEPS:
            return [first]
        if name in _RULES:
            return [several(_RULES[name](self, args, kwargs, result))]
        if name in RESIZES:
            return [several(_windowed(first, lambda t: func(t, *args[1:], **kwargs), result))]
        if name == "im2col":
            return [several(o.averaged(lambda t: func(t, *args[1:], **kwargs)) for o in first)]
        if name in REDUCES:
            return [several(_reduced(first, args, REDUCES[name], _flat((result,))[0]))]
        return []

    def _joined(self, values: Sequence[Tensor], axis: int, new: bool) -> Origins:
        """Of values side by side; those that have fewer origins than others repeat their last one."""
        values = [value for value in values if value.dim() > 1 or len(value)]  # torch leaves out what is empty
        shapes = [(*v.shape[:axis], 1, *v.shape[axis:]) if new else tuple(v.shape) for v in values]
        found = [[o.reshaped(s) for o in self.of(v)] for v, s in zip(values, shapes, strict=True)]
        sets = ([own[min(i, len(own) - 1)] if own else None for own in found] for i in range(max(map(len, found))))
        return several(beside(each, shapes, axis) for each in sets)


def _flat(args: Any) -> list[Tensor]:
    return [
        value
        for arg in args
        for value in (arg if isinstance(arg, (tuple, list)) else (arg,))
        if isinstance(value, Tensor)
    ]


def _moved(func: Any, first: Origins, args: Any, kwargs: Any) -> list[Origins]:
    """Origins put to the places where the numbers are put."""

    def whole(t: Tensor) -> list[Tensor]:
        result = func(t, *args, **kwargs)
        return [result] if isinstance(result, Tensor) else list(result)

    each = [[origin(y, x) for y, x in zip(*map(whole, o.whole), strict=True)] for o in first]
    return [several(part) for part in zip(*each, strict=True)]


def _reduced(first: Origins, args: Any, at: int, result: Tensor) -> Origins:
    value, dims = args[0], args[at] if len(args) > at else ()
    dims = [dims] if isinstance(dims, int) else list(dims or ())
    return tuple(o.mean(dims, result.dim() == value.dim()) for o in first)


def _product(self: Following, a: Tensor, b: Tensor, result: Tensor) -> Origins:
    """Of a product of matrices: rows of the one and columns of the other tell where the result is asked from.

    Where neither does, the result is a mean over what is multiplied.
    """
    asked: list[Origin] = []
    averaged: list[Origin] = []
    for value, axis in ((a, -1), (b, -2)):
        for o in self.of(value):
            told = all(each.shape[axis] == 1 for each in (o.y, o.x))
            (asked if told else averaged).append(o.mean([axis], True).spread(tuple(result.shape)))
    return tuple(asked or averaged)


def _plain_product(self: Following, args: Any, kwargs: Any, result: Tensor) -> Origins:
    return _product(self, args[0], args[1], result)


def _added_product(self: Following, args: Any, kwargs: Any, result: Tensor) -> Origins:
    shape = tuple(result.shape)
    return (*(o.spread(shape) for o in self.of(args[0])), *_product(self, args[1], args[2], result))


def _convolved(self: Following, args: Any, kwargs: Any, result: Tensor) -> Origins:
    """Of windows; channels are mixed."""
    value, weight, _, stride, pad, dilation, transposed, more, _ = args
    k, ones = list(weight.shape[2:]), _ones(weight.shape[2:])
    if len(k) > 2:
        return ()
    if transposed:
        plain = F.conv_transpose1d if len(k) == 1 else F.conv_transpose2d
        return _windowed(self.of(value), lambda t: plain(t, ones, None, stride, pad, more, 1, dilation), result)
    return _seen(self.of(value), k, stride, pad, dilation, result)


def _pooled(self: Following, args: Any, kwargs: Any, result: Any) -> Origins:
    """Of windows of which the largest number is taken."""
    values: list[Any] = [*args, *([], [0, 0], [1, 1])[len(args) - 2 :]]
    _, k, stride, pad, dilation = values[:5]
    return _seen(self.of(args[0]), k, stride or k, pad, dilation, result[0])


def _seen(found: Origins, k: Any, stride: Any, pad: Any, dilation: Any, result: Tensor) -> Origins:
    """The middle of every window; the picture goes on beyond its borders."""
    ones, size = _ones(k), result.shape[2:]

    def change(t: Tensor) -> Tensor:
        for axis, (n, width, step, before, apart) in enumerate(zip(size, k, stride, pad, dilation, strict=True), 2):
            t = _extended(t, axis, before, (n - 1) * step + apart * (width - 1) + 1 - before - t.shape[axis])
        return (F.conv1d if len(k) == 1 else F.conv2d)(t, ones, None, stride, 0, dilation)

    return _windowed(found, change, result)


def _windowed(found: Origins, change: Change, result: Tensor) -> Origins:
    return tuple(o.mean([1], True).averaged(change).spread(tuple(result.shape)) for o in found)


def _ones(k: Sequence[int]) -> Tensor:
    return torch.ones(1, 1, *k, dtype=torch.float64, device="cpu")


def _extended(t: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Coordinates that go on as they begin and end; what lies behind the last window is left out."""
    size = t.shape[axis]
    first, last = t.narrow(axis, 0, 1), t.narrow(axis, size - 1, 1)
    step = [t.narrow(axis, min(1, size - 1), 1) - first, last - t.narrow(axis, max(size - 2, 0), 1)]
    parts = (
        [first - step[0] * i for i in range(before, 0, -1)] + [t] + [last + step[1] * i for i in range(1, after + 1)]
    )
    return torch.cat(parts, axis).narrow(axis, 0, before + size + after)


def _padded(self: Following, args: Any, kwargs: Any, result: Tensor) -> Origins:
    return tuple(o.changed(lambda t: F.pad(t, list(args[1]), value=torch.nan)) for o in self.of(args[0]))


_RULES: dict[str, Callable[[Following, Any, Any, Any], Origins]] = {
    "mm": _plain_product, "bmm": _plain_product, "addmm": _added_product, "baddbmm": _added_product,
    "convolution": _convolved, "max_pool2d_with_indices": _pooled, "constant_pad_nd": _padded,
}  # fmt: skip
