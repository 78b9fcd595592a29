"""The networks that sources name, as torch builds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from specc.diagnostics import did_you_mean
from specc.graph.ops import ShapeError
from specc.graph.ops.source import Kind, Source
from specc.graph.problems import BackboneError, Problem
from specc.graph.traced.options import options
from specc.graph.traced.tracing import missing

Maker = Callable[[], nn.Module]


def check(source: Source) -> None:
    """Raise `BackboneError` where what the network is built of is not there, or nothing of its name."""
    _KINDS[source.kind][0](source)


def make(source: Source) -> nn.Module:
    """The network with its own numbers, in training; raises `BackboneError` or `ShapeError`."""
    check(source)
    try:
        return _KINDS[source.kind][1](source).train()
    except (AssertionError, RuntimeError, ValueError) as error:
        raise misfit(source, error) from None


def undrawn(source: Source) -> tuple[nn.Module, dict[str, float]]:
    """The network with nothing drawn at random, and the parameters that begin with one number everywhere."""
    mode, normal = Undrawn(), nn.init.trunc_normal_
    nn.init.trunc_normal_ = _skip
    try:
        with mode:
            network = make(source)
    finally:
        nn.init.trunc_normal_ = normal
    fills = {
        name: float(tensor.flatten()[0])
        for name, tensor in network.state_dict().items()
        if tensor.untyped_storage().data_ptr() not in mode.drawn and bool((tensor == tensor.flatten()[0]).all())
    }
    return network, fills


class Undrawn(TorchFunctionMode):
    """While entered, drawing at random leaves tensors as they are, and notes their storages in `drawn`."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, unless it draws."""
        name = getattr(func, "__name__", "")
        target: Any = args[0] if args else (kwargs or {}).get("tensor")
        if name.endswith(("normal_", "uniform_")):
            self.drawn.add(target.untyped_storage().data_ptr())
            return target
        if name in ("zero_", "fill_"):
            self.drawn.discard(target.untyped_storage().data_ptr())
        return func(*args, **(kwargs or {}))


def _skip(tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """Instead of `trunc_normal_`, which draws again until all numbers are near."""
    return tensor.normal_()


def misfit(source: Source, error: BaseException) -> ShapeError:
    """What the network says of such images."""
    return ShapeError(f"{source.name} says: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _check_torchvision(source: Source) -> None:
    try:
        import torchvision.models
    except ImportError as error:
        raise missing(source, str(error)) from None
    models = torchvision.models
    names = models.list_models(module=models) + models.list_models(module=models.segmentation)
    if source.name not in names:
        help = did_you_mean(source.name, names)
        text = (
            f"torchvision {torchvision.__version__} has no classification or segmentation model called `{source.name}`"
        )
        raise BackboneError(Problem("SPC307", text, source.where, "unknown model", help))


def _torchvision(source: Source) -> nn.Module:
    import torchvision.models as models

    found: nn.Module = models.get_model(
        source.name, weights=None, num_classes=source.classes, **options(source.name, source.image)
    )
    return found


_KINDS: dict[Kind, tuple[Callable[[Source], None], Callable[[Source], nn.Module]]] = {
    "torchvision": (_check_torchvision, _torchvision),
}
