"""The networks that sources name, as torch builds them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from specc.diagnostics import did_you_mean
from specc.graph.ops import ShapeError
from specc.graph.ops.source import Kind, Source
from specc.graph.problems import BackboneError, Problem
from specc.graph.traced.options import options
from specc.graph.traced.tracing import gone, missing

from .files import check_module, made_by, own_file
from .lines import own_line
from .texts import reading_tokens, tried

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
    if source.dtype == "int64":
        _check_tables(source, network)
    fills = {
        name: float(tensor.flatten()[0])
        for name, tensor in network.state_dict().items()
        if tensor.untyped_storage().data_ptr() not in mode.drawn and bool((tensor == tensor.flatten()[0]).all())
    }
    return network, fills


def _check_tables(source: Source, network: nn.Module) -> None:
    """Raise `ShapeError` where the network has no numbers for some tokens, or for so many of them."""
    length, kinds = source.image[0], source.vocabulary
    try:
        tried(network, length, kinds or 1)
    except IndexError as error:
        what = f"tokens 0 to {kinds - 1}, {length} of them" if kinds else f"{length} tokens"
        raise ShapeError(f"{source.name} has too small a table for {what}: {error}") from None
    except (AssertionError, RuntimeError, ValueError) as error:
        raise misfit(source, error) from None


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
    line = own_line(error.__traceback__)
    said = str(error).splitlines()[0] if str(error) else ""
    own = source.kind in ("module", "traced")
    if not isinstance(error, (AssertionError, RuntimeError, ValueError)) or not said:
        said, own = ": ".join(filter(None, (type(error).__name__, said))), True
    said += f" ({line})" * bool(own and line)
    return ShapeError(f"{source.name} says: {said}")


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


def _check_timm(source: Source) -> None:
    timm = _library("timm", source)
    if source.name not in timm.list_models():
        text = f"timm {timm.__version__} has no model called `{source.name}`"
        raise BackboneError(
            Problem("SPC307", text, source.where, "unknown model", did_you_mean(source.name, timm.list_models()))
        )


def _timm(source: Source) -> nn.Module:
    import timm

    size = timm.get_pretrained_cfg(source.name)
    own = {"img_size": source.image[1:]} if size is not None and size.fixed_input_size else {}
    settings = {"num_classes": source.classes, "in_chans": source.image[0], **own, **json.loads(source.args)}
    found: nn.Module = timm.create_model(source.name, pretrained=False, **settings)
    return found


def _library(name: str, source: Source) -> Any:
    """A library that may be missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(source, str(error)) from None


def _check_transformers(source: Source) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is downloaded
    known, texts = _library("transformers", source).models.auto.modeling_auto, source.dtype == "int64"
    what, types = (
        ("texts", known.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
        if texts
        else ("images", known.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    )
    if not source.digest and source.name not in types:
        text = f"transformers has no type of models that classify {what} called `{source.name}`"
        raise BackboneError(
            Problem("SPC307", text, source.where, "unknown model", did_you_mean(source.name, list(types)))
        )


def _transformers(source: Source) -> nn.Module:
    import transformers

    given = json.loads(own_file(source, source.name)) if source.digest else {"model_type": source.name}
    settings = {**given, **json.loads(source.args)}
    config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    config.num_labels = source.classes
    config.architectures = config.architectures or []  # where there are several, transformers looks through this list
    if source.dtype == "int64":
        return _of_texts(source, config, settings)
    for name, value in (("num_channels", source.image[0]), ("image_size", _size(source.image[1:]))):
        if hasattr(config, name):
            setattr(config, name, value)
    found: nn.Module = transformers.AutoModelForImageClassification.from_config(config)
    return found


def _of_texts(source: Source, config: Any, settings: dict[str, Any]) -> nn.Module:
    """A model that knows so many tokens, unless the configuration says how many or nobody asks; it remembers none."""
    import transformers

    said: dict[str, int] = {"use_cache": False}
    if source.vocabulary and "vocab_size" not in settings:
        said["vocab_size"] = source.vocabulary
    for name, value in said.items():
        if hasattr(config, name):
            setattr(config, name, value)
    model: nn.Module = transformers.AutoModelForSequenceClassification.from_config(config)
    return reading_tokens(model)


def _size(sides: tuple[int, ...]) -> int | list[int]:
    """One number of a square image, as configurations have it."""
    return sides[0] if len(set(sides)) == 1 else list(sides)


def _handed_over(source: Source) -> None:
    """Whether it is here is asked where its parts are built."""


def _never(source: Source) -> nn.Module:
    raise gone(source)


_KINDS: dict[Kind, tuple[Callable[[Source], None], Callable[[Source], nn.Module]]] = {
    "torchvision": (_check_torchvision, _torchvision),
    "timm": (_check_timm, _timm),
    "transformers": (_check_transformers, _transformers),
    "module": (check_module, made_by),
    "traced": (_handed_over, _never),
}
