"""specc: a declarative compiler for supervised local learning. Importing it never imports torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import about
from .diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn  # noqa: TID251  for the type checker alone

    from .graph.traced.backbone import Backbone
    from .plan import Plan
    from .spec.load import Spec
    from .system.devices import Device

__version__ = about.VERSION
__all__ = ["Backbone", "Diagnostic", "Plan", "Spec", "SpecError", "__version__", "compile", "load", "trace"]

_LAZY = {"Backbone": "specc.graph.traced.backbone", "Plan": "specc.plan", "Spec": "specc.spec.load"}


def load(source: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()) -> Spec:
    """Read and validate a spec: a file, or a mapping of its keys; `overrides` are ``key.path=value``.

    Raises `SpecError` with every diagnostic.
    """
    from .checking import load as load_spec

    return load_spec(source, overrides)


def trace(module: nn.Module, example: Tensor | Sequence[int], *, leaf: Sequence[str] = ()) -> Backbone:
    """Write down what a module does, for `compile`: `example` is a batch, or the shape of one sample.

    The forward is run on tensors without numbers, of a copy: the module stays as it is. What cannot be followed is
    named with its line; `leaf` names submodules that are to be one part each. Needs torch, as the module does. Raises
    `BackboneError` where it cannot be traced, and `ShapeError` where it does not take such samples.
    """
    from runtime.trace.given import trace as trace_module

    return trace_module(module, example, leaf=leaf)


def compile(
    source: str | os.PathLike[str] | Mapping[str, Any] | Spec,
    overrides: Sequence[str] = (),
    device: Device | None = None,
    *,
    backbone: Backbone | None = None,
) -> Plan:
    """Compile a spec (a file, a mapping of its keys, or what `load` returned) into a plan.

    With a `backbone`, that is the network, whatever the spec says of one; where the spec names no data set, samples
    and classes are those of the backbone. Raises `SpecError` with every diagnostic.

    Memory is predicted by the rules of `device`, a GPU's where nothing is said: the same on every machine, unlike the
    command line, which predicts for the device that a run would take.
    """
    from .checking import given
    from .pipeline import compile_spec
    from .spec.load import Spec

    if backbone is not None:
        spec = given(source, overrides, backbone)
    else:
        spec = source if isinstance(source, Spec) else load(source, overrides)
    return compile_spec(spec if device is None else spec.on(device))[0]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'specc' has no attribute '{name}'")
