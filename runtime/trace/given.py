"""Modules that Python hands over: traced as they stand, and known again by what they do."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from specc.graph.graph import BackboneGraph
from specc.graph.ops.source import Source
from specc.graph.problems import BackboneError, Problem
from specc.graph.traced.backbone import Backbone
from specc.graph.traced.names import own_name
from specc.graph.traced.tracing import graph_of

from ..errors import RunError
from .example import Example, sample_of
from .hidden import unreadable
from .laboratory import Laboratory, keep
from .records import holds_tensors

NORM = re.compile(r"(Batch|Layer|Group|Instance|RMS)Norm")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def trace(module: nn.Module, example: Example, *, leaf: Sequence[str] = ()) -> Backbone:
    """The module as a backbone; raises `NotAnExample`, `BackboneError` or `ShapeError`. See `specc.trace`."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"what is traced is a torch.nn.Module, and not a `{type(module).__name__}`")
    shape, dtype, parts = sample_of(example)
    source = Source("traced", _called(module), shape, 0, leaves=tuple(leaf), dtype=dtype, parts=parts)
    asking_none = _asking_none(module)
    while True:
        laboratory = _laboratory(module, source)
        graph = graph_of(laboratory.source)
        fixed, mixed = _sorted(graph, asking_none.difference(source.held))
        if not mixed:
            return Backbone(laboratory.source, graph, fixed)
        source = replace(source, held=tuple(sorted(mixed.union(source.held))))


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


def _asking_none(module: nn.Module) -> frozenset[str]:
    """The parameters that ask for no gradient."""
    return frozenset(name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad)


def _sorted(graph: BackboneGraph, asking_none: Set[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The nodes all of whose parameters ask for no gradient; and those that ask for none, of nodes that have others."""
    fixed: list[str] = []
    mixed: set[str] = set()
    for node in graph.nodes:
        names = {own_name(node, tensor) for tensor in node.parameters}
        if names and names <= asking_none:
            fixed.append(node.name)
        else:
            mixed |= names & asking_none
    return tuple(fixed), frozenset(mixed)


def _laboratory(module: nn.Module, source: Source) -> Laboratory:
    """Of a copy of the module, kept; its source has the digest. What is held is no parameter in it."""
    with _disable_current_modes(), torch.device("cpu"):
        laboratory = Laboratory(source, _copied(module, source), _fills(module))
    laboratory.sign(_digest(laboratory))
    keep(laboratory)
    return laboratory


def _called(module: nn.Module) -> str:
    return type(module).__name__


def _copied(module: nn.Module, source: Source) -> nn.Module:
    """A copy without the numbers of parameters, which may be many, on the host; its floats are as those of samples."""
    if why := unreadable(module):
        raise BackboneError(Problem("SPC308", f"`{source.name}` cannot be traced: {why}", source.where, "is hidden"))
    own: dict[int, Any] = {
        id(p): _kept(p) if name in source.held else _empty(p)
        for name, p in module.named_parameters(remove_duplicate=False)
    } | {id(b): b.detach().clone().to("cpu", _kind(b)) for b in module.buffers() if not b.is_meta}
    try:
        return copy.deepcopy(module, own)
    except Exception as error:
        text = f"`{source.name}` cannot be copied, and so not be traced: {error}"
        raise BackboneError(Problem("SPC308", text, source.where, "cannot be copied")) from error


def _empty(parameter: nn.Parameter) -> nn.Parameter:
    empty = torch.empty_like(parameter, device="meta", dtype=_kind(parameter))
    return nn.Parameter(empty, parameter.is_floating_point())


def _kept(parameter: nn.Parameter) -> nn.Parameter:
    """With its numbers, which copies of it need."""
    kind = _kind(parameter)
    if parameter.is_meta:
        return nn.Parameter(parameter.detach().to(kind), False)
    return nn.Parameter(parameter.detach().clone().to("cpu", kind), False)


def _kind(tensor: torch.Tensor) -> torch.dtype:
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
