"""Modules that Python hands over: traced as they stand, and known again by what they do."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from specc.graph.ops.source import Source
from specc.graph.problems import BackboneError, Problem
from specc.graph.traced.backbone import Backbone
from specc.graph.traced.tracing import graph_of
from specc.tasks.dtypes import DType

from ..errors import RunError
from .laboratory import Laboratory, keep
from .records import holds_tensors

NORM = re.compile(r"(Batch|Layer|Group|Instance|RMS)Norm")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def trace(module: nn.Module, example: Tensor | Sequence[int], *, leaf: Sequence[str] = ()) -> Backbone:
    """The module as a backbone; raises `BackboneError` or `ShapeError`. See `specc.trace`."""
    shape, dtype = _sample(example)
    laboratory = _laboratory(module, Source("traced", _called(module), shape, 0, leaves=tuple(leaf), dtype=dtype))
    return Backbone(laboratory.source, graph_of(laboratory.source))


def recognise(source: Source, module: nn.Module) -> None:
    """Raise `RunError` unless the module does what the one did that was traced; its parts can be built from now on."""
    try:
        found = _laboratory(module, replace(source, name=_called(module), digest="")).source
    except Exception as error:
        raise _another(source, module, f"it cannot be traced: {error}") from error
    if found != source:
        raise _another(source, module, "it does something else, call by call")


def _another(source: Source, module: nn.Module, why: str) -> RunError:
    text = f"the module, a `{_called(module)}`, is not the `{source.name}` that the plan was made of: {why}"
    return RunError(text, ("compile the plan anew: `specc.compile(spec, backbone=specc.trace(module, example))`",))


def _laboratory(module: nn.Module, source: Source) -> Laboratory:
    """Of a copy of the module, kept; its source has the digest."""
    with _disable_current_modes(), torch.device("cpu"):
        laboratory = Laboratory(source, _copied(module, source), _fills(module))
    laboratory.sign(_digest(laboratory))
    keep(laboratory)
    return laboratory


def _sample(example: Tensor | Sequence[int]) -> tuple[tuple[int, ...], DType]:
    """Shape and kind of numbers of one sample, of a batch or of the shape itself."""
    if not isinstance(example, Tensor):
        return tuple(example), "float32"
    if example.dim() < 2:
        raise ValueError(f"the example is a batch, of at least two axes, and not of shape {tuple(example.shape)}")
    return tuple(example.shape[1:]), "float32" if example.is_floating_point() else "int64"


def _called(module: nn.Module) -> str:
    return type(module).__name__


def _copied(module: nn.Module, source: Source) -> nn.Module:
    """A copy without the numbers of parameters, which may be many, on the host; its floats are as those of samples."""
    own: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta", dtype=_kind(p)), p.requires_grad)
        for p in module.parameters()
    } | {id(b): b.detach().clone().to("cpu", _kind(b)) for b in module.buffers()}
    try:
        found = copy.deepcopy(module, own)
    except Exception as error:
        text = f"`{source.name}` cannot be copied, and so not be traced: {error}"
        raise BackboneError(Problem("SPC308", text, source.where, "cannot be copied")) from error
    return found.requires_grad_(True)


def _kind(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _fills(module: nn.Module) -> dict[str, float]:
    """The numbers that copies of its parameters begin with: what they all are here, or what norms begin with."""
    found: dict[str, float] = {}
    for path, part in module.named_modules():
        for name, tensor in part.named_parameters(recurse=False):
            key = f"{path}.{name}".lstrip(".")
            first = tensor.detach().flatten()[:1]
            if NORM.search(type(part).__name__) and name in ("weight", "bias"):
                found[key] = float(name == "weight")
            elif len(first) and not tensor.is_meta and bool((tensor == first).all()):
                found[key] = float(first)
    return found


def _digest(laboratory: Laboratory) -> str:
    """Of all that decides what the module computes of its tensors: calls, settings of modules, further constants."""
    calls = [_line(laboratory, node) for node in laboratory.graph.nodes]
    state = [f"{name} {tuple(t.shape)} {t.dtype}" for name, t in laboratory.network.state_dict().items()]
    text = "\n".join([*calls, *state, repr(laboratory.network)])
    whole = hashlib.sha256(_ADDRESS.sub("", text).encode())
    for tensor in laboratory.constants.values():
        whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:32]


def _line(laboratory: Laboratory, node: Any) -> str:
    """A call with its arguments, and where it gives no tensor what it gives for both batches."""
    values = [each.get(node) for each in laboratory.values]
    return f"{node.format_node()} {'' if holds_tensors(values[0]) else values}"
