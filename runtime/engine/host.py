"""Which tensors are the host's: where a processor stands for a device, what counts its memory leaves them out."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

_storages: dict[int, weakref.ref[Any]] = {}
_working = ContextVar("working on the host", default=False)


def put(tensor: Tensor) -> None:
    """From now on a tensor's storage is the host's."""
    storage = tensor.untyped_storage()
    key = storage._cdata
    if key not in _storages:
        _storages[key] = weakref.ref(storage, lambda _: _storages.pop(key, None))


def has(tensor: Tensor) -> bool:
    """Whether a tensor's storage is the host's."""
    return tensor.untyped_storage()._cdata in _storages


def like(tensor: Tensor) -> Tensor:
    """An empty tensor that lies as this one does, on the host where this one is."""
    if not has(tensor):
        return torch.empty_like(tensor, requires_grad=False)
    with working():
        made = torch.empty_like(tensor, requires_grad=False)
    put(made)
    return made


@contextmanager
def working() -> Iterator[None]:
    """What is made meanwhile is the host's."""
    before = _working.set(True)
    try:
        yield
    finally:
        _working.reset(before)


def is_working() -> bool:
    """Whether what is made now is the host's."""
    return _working.get()
