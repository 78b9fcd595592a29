"""specc: a declarative compiler for supervised local learning. Importing it never imports torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from . import about
from .diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from typing import TypeAlias

    from torch import Tensor, nn  # noqa: TID251  for the type checker alone

    from .estimating import Estimate
    from .graph.traced.backbone import Backbone
    from .plan import Plan
    from .spec.load import Spec
    from .system.devices import Device
    from .tasks.own.facts import Facts

    One: TypeAlias = Tensor | Sequence[int]
    Example: TypeAlias = One | Sequence[One] | Mapping[str, One]

__version__ = about.VERSION
__all__ = [
    "Backbone", "Diagnostic", "Estimate", "Plan", "Spec", "SpecError", "__version__", "compile", "estimate", "load",
    "trace",
]  # fmt: skip

_LAZY = {
    "Backbone": "specc.graph.traced.backbone", "Estimate": "specc.estimating", "Plan": "specc.plan",
    "Spec": "specc.spec.load",
}  # fmt: skip


def load(source: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()) -> Spec:
    """Read and validate a spec: a file, or a mapping of its keys; `overrides` are ``key.path=value``.

    Raises `SpecError` with every diagnostic.
    """
    from .checking import load as load_spec

    return load_spec(source, overrides)


def trace(module: nn.Module, example: Example, *, leaf: Sequence[str] = ()) -> Backbone:
    """Write down what a module does, for `compile`: `example` is a batch, or the shape of one sample.

    A module of several inputs has several, in a tuple in the order of its forward's arguments, or in a mapping of their
    names. The forward is run on tensors without numbers, of a copy: the module stays as it is. What cannot be followed
    is named with its line; `leaf` names submodules that are to be one part each. Parameters that ask for no gradient
    are known as fixed: nothing trains them. Needs torch, as the module does. Raises `NotAnExample` (a `ValueError`),
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
    data: Facts | None = None,
) -> Plan:
    """Compile a spec (a file, a mapping of its keys, or what `load` returned) into a plan.

    With a `backbone`, that is the network, whatever the spec says of one; where the spec names no data set, samples
    and classes are those of the backbone. Raises `SpecError` with every diagnostic.

    Memory is predicted by the rules of `device`, a GPU's where nothing is said: the same on every machine, unlike the
    command line, which predicts for the device that a run would take. With `data`, what `runtime.ask` said of data sets
    of yours, the plan is of those, whichever the spec names.
    """
    from .checking import given
    from .pipeline import compile_spec
    from .spec.load import Spec

    if backbone is not None:
        spec = given(source, overrides, backbone)
    else:
        spec = source if isinstance(source, Spec) else load(source, overrides)
    spec = spec if data is None else spec.of_data(data)
    return compile_spec(spec if device is None else spec.on(device))[0]


def estimate(
    network: nn.Module | Backbone | str,
    example: Example | None = None,
    *,
    optimizer: str | Mapping[str, Any] = "adamw",
    precision: str = "bf16",
    budget: str | int | None = None,
    batch: int | None = None,
    classes: int | None = None,
    vocabulary: int | None = None,
    device: Device = "cuda",
    device_profile: str | None = None,
    overrides: Sequence[str] = (),
) -> Estimate:
    """Predict what training a network end to end takes: memory by category, whether it fits, and how long a step is.

    No GPU is needed, and nothing is trained. `network` is a module, what `trace` gave, a name (`convnext_nano` of timm,
    `torchvision:resnet50`, `family:vgg`), or `nets.py:make_net`, whose code is run only where `SPECC_TRUST_CODE=1` says
    so. `example` is a batch, or the shape of one sample, (C, H, W), or several as for `trace`; what was traced needs
    none. A batch of whole numbers is one of texts; so is (length,) of a model of transformers, or beside a
    `vocabulary`, which says how many tokens there are, by default as many as the network knows. Of the optimizer a
    mapping says more than its name. The budget is about tensors; with a `device_profile` the step is held to all that a
    process takes of that device as well. `overrides` are of the spec that stands for all this. Raises `SpecError` with
    every diagnostic, `NotAnExample` (a `ValueError`), and what `trace` raises.
    """
    from .estimating import estimate as estimated
    from .estimating.example import batch_to_trace
    from .graph.traced.backbone import Backbone

    if not isinstance(network, (str, Backbone)):
        network = trace(network, cast("Example", batch_to_trace(example, vocabulary)))
    return estimated(
        network, example, optimizer=optimizer, precision=precision, budget=budget, batch=batch, classes=classes,
        vocabulary=vocabulary, device=device, device_profile=device_profile, overrides=overrides,
    )  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'specc' has no attribute '{name}'")
