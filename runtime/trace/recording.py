"""A network's forward, run once on tensors without numbers and written down call by call as a graph of torch.fx.

Code runs as it is: what it decides by shapes and settings is decided, and only what it decides by numbers cannot be.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from specc.graph.ops import Shape
from specc.tasks.inputs import Parts

from ..fakes import fakes
from .entering import unpacked
from .lines import own_line
from .recorder import Recorder, Recording, Untraceable, heard

DEPENDS = (DataDependentOutputException, DynamicOutputShapeException)


def recorded(
    network: nn.Module,
    shape: Shape,
    dtype: torch.dtype,
    leaves: Set[str] = frozenset(),
    wide: torch.dtype | None = None,
    parts: Parts = (),
) -> Recording:
    """One forward of a batch of this shape, with floats as wide as `wide`; `leaves` are modules that are one node.

    The network takes the batch, or what its `parts` are.

    On meta, which is fast; a network that holds further tensors, or looks at where its tensors are, runs on fakes.
    """
    try:
        with torch.device("meta"):
            return _recorded(network, shape, dtype, leaves, wide, parts)
    except Exception:  # whatever it is, it is told of fakes
        with fakes(beside_real=True):
            return _recorded(network, shape, dtype, leaves, wide, parts)


def _recorded(
    network: nn.Module, shape: Shape, dtype: torch.dtype, leaves: Set[str], wide: torch.dtype | None, parts: Parts
) -> Recording:
    with _faked(network, wide), torch.enable_grad():
        x = torch.empty(shape, dtype=dtype if wide is None or not dtype.is_floating_point else wide)
        if x.is_floating_point():  # then every value tells whether a gradient comes to it
            x = x.requires_grad_() * 1
        recorder = Recorder(network, leaves)
        recorder.begin(x)
        with recorder, heard(recorder):
            try:
                given, named = unpacked(x, parts, recorder.wrapped) if parts else ([x], {})
                result = network(*given, **named)
            except Untraceable:
                raise
            except DEPENDS as error:
                why = own_line(error.__traceback__) or str(error).splitlines()[0]
                raise Untraceable(recorder.scope, why, depends=True) from None
            recorder.end(result)
    return recorder.recording


@contextmanager
def _faked(network: nn.Module, wide: torch.dtype | None) -> Iterator[None]:
    """The network's tensors without numbers, wherever tensors are made now."""
    made: dict[int, Tensor] = {}
    swapped: list[tuple[Any, str, Tensor]] = []

    def fake(tensor: Tensor) -> Tensor:
        dtype = wide if wide is not None and tensor.is_floating_point() else tensor.dtype
        empty = torch.empty(tensor.shape, dtype=dtype)
        return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty

    for module in network.modules():
        held: Any
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    swapped.append((held, name, tensor))
                    held[name] = made.setdefault(id(tensor), fake(tensor))
    try:
        yield
    finally:
        for held, name, tensor in swapped:
            held[name] = tensor
