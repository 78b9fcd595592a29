"""Which op a traced call is, where the numbers are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from specc.graph import ops
from specc.graph.ops import Op, Shape, channels, is_grid

from .calls import Call
from .regions import Region


@dataclass(frozen=True, slots=True)
class Candidate:
    """What rules are asked about: a region, its calls, the shapes it reads and makes, and where the channels are."""

    region: Region
    calls: Mapping[str, Call]
    shapes: tuple[Shape, ...]  # of the inputs, as ops know them
    shape: Shape
    last: bool  # whether the result's channels come last, so that it is folded

    @property
    def call(self) -> Call:
        """The call that makes the result."""
        return self.region.output

    @property
    def signal(self) -> bool:
        """Whether the result has one axis in the network, and is a map of one row here."""
        return len(self.shape) == 3 and len(self.call.shape) == 2

    @property
    def option(self) -> Mapping[str, Any]:
        """The module's attributes."""
        return self.call.options

    @property
    def attributes(self) -> list[Call]:
        """What it reads of a module."""
        return [call for call in self.region.calls if call.what == "get_attr"]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument of the call."""
        return self.call.argument(position, name, default)


Rule = Callable[[Candidate], Op | None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule for calls of these classes and functions."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def word(part: Candidate) -> Op | None:
    """The op of the vocabulary that the region is, None where there is none, and nothing else."""
    if any(call.odd for call in part.region.calls):
        return None
    if any(call.what not in FREE and call is not part.call for call in part.region.calls):
        return _composite(part)
    found = RULES.get(part.call.what)
    return found(part) if found and not part.attributes else _with_attribute(part)


FREE = frozenset({"get_attr", "expand"})  # what may stand beside the one call that an op is


def _one(value: Any) -> Any:
    """One number where height and width are the same."""
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return sizes[0] if len(set(sizes)) == 1 else sizes


_SIMPLE: dict[str, Op] = {
    "ReLU": ops.Relu(), "ReLU6": ops.Relu6(), "SiLU": ops.Silu(), "Hardswish": ops.Hardswish(),
    "Hardsigmoid": ops.Hardsigmoid(), "Sigmoid": ops.Sigmoid(), "Tanh": ops.Tanh(),
}  # fmt: skip


@rule(*_SIMPLE, *(name.lower() for name in _SIMPLE))
def _elementwise(part: Candidate) -> Op | None:
    return next(op for name, op in _SIMPLE.items() if name.lower() == part.call.what.lower())


@rule("GELU", "LeakyReLU")
def _curve(part: Candidate) -> Op | None:
    o = part.option
    return ops.Gelu(o["approximate"]) if "approximate" in o else ops.LeakyRelu(float(o["negative_slope"]))


@rule("PReLU")
def _prelu(part: Candidate) -> Op | None:
    one = part.option["num_parameters"] == 1
    return ops.Prelu("one" if one else "channels") if one or (is_grid(part.shape) and not part.last) else None


@rule("Conv2d", "Conv3d")
def _conv(part: Candidate) -> Op | None:
    o = part.option
    if o["padding_mode"] != "zeros" or isinstance(o["padding"], str) or not is_grid(part.shapes[0]):
        return None
    return ops.Conv(
        o["out_channels"], k=_one(o["kernel_size"]), stride=_one(o["stride"]), pad=_one(o["padding"]),
        groups=o["groups"], dilation=_one(o["dilation"]), bias="bias" in o["tensors"],
    )  # fmt: skip


@rule("Linear")
def _linear(part: Candidate) -> Op | None:
    return None if is_grid(part.shape) else ops.Linear(part.option["out_features"], "bias" in part.option["tensors"])


@rule("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
def _batch_norm(part: Candidate) -> Op | None:
    o = part.option
    whole = o["affine"] and o["track_running_stats"] and o["momentum"] is not None and len(part.shape) != 2
    return ops.BatchNorm(float(o["eps"]), float(o["momentum"])) if whole else None


@rule("GroupNorm")
def _group_norm(part: Candidate) -> Op | None:
    whole = part.option["affine"] and len(part.shape) != 2
    return ops.GroupNorm(part.option["num_groups"], float(part.option["eps"])) if whole else None


@rule("LayerNorm", "LayerNorm2d")
def _layer_norm(part: Candidate) -> Op | None:
    over = tuple(part.option["normalized_shape"])
    pixels = len(part.shape) == 3
    if (
        len(part.shape) > 3
        or {"weight", "bias"} != set(part.option["tensors"])
        or pixels != (part.call.what == "LayerNorm2d")
    ):
        return None
    return ops.LayerNorm(float(part.option["eps"])) if over == (channels(part.shape),) else None


@rule("MaxPool1d", "max_pool1d", "MaxPool2d", "max_pool2d", "MaxPool3d", "max_pool3d")
def _max_pool(part: Candidate) -> Op | None:
    get = _pool_arguments(part)
    if not is_grid(part.shape) or _one(get("dilation", 3, 1)) != 1 or get("return_indices", 9, False):
        return None
    return ops.MaxPool(**_window(part, get), ceil=bool(get("ceil_mode", 4, False)))


@rule("AvgPool1d", "avg_pool1d", "AvgPool2d", "avg_pool2d", "AvgPool3d", "avg_pool3d")
def _avg_pool(part: Candidate) -> Op | None:
    get = _pool_arguments(part)
    counts_padding = get("count_include_pad", 5, True) or _one(get("padding", 2, 0)) == 0
    if not is_grid(part.shape) or not counts_padding or get("divisor_override", 6, None):
        return None
    return ops.AvgPool(**_window(part, get), ceil=bool(get("ceil_mode", 3, False)))


def _pool_arguments(part: Candidate) -> Callable[[str, int, Any], Any]:
    """The pool's arguments, which a module has as attributes and a function after its input."""
    if part.call.path:
        return lambda name, position, default: part.option.get(name, default)
    return lambda name, position, default: part.argument(position + 1, name, default)


def _window(part: Candidate, get: Callable[[str, int, Any], Any]) -> dict[str, Any]:
    """Of a signal, which is a map of one row, along that row."""
    k, stride, pad = (_one(get(*each)) for each in (("kernel_size", 0, None), ("stride", 1, None), ("padding", 2, 0)))
    if part.signal:
        return {"k": (1, k), "stride": (1, stride or k), "pad": (0, pad)}
    return {"k": k, "stride": stride, "pad": pad}


@rule(*(f"{name}{axes}d" for name in ("AdaptiveAvgPool", "adaptive_avg_pool") for axes in (1, 2, 3)))
def _adaptive_avg_pool(part: Candidate) -> Op | None:
    size = part.option["output_size"] if part.call.path else part.argument(1, "output_size")
    each = [1] * part.signal + ([size] * len(part.call.shape[1:]) if isinstance(size, int) else list(size))
    return ops.AdaptiveAvgPool(_one(each)) if is_grid(part.shape) and None not in each else None


@rule("interpolate")
def _resize(part: Candidate) -> Op | None:
    """To a size in pixels; by a factor torch counts the places of the pixels otherwise."""
    mode, corners = part.argument(3, "mode", "nearest"), bool(part.argument(4, "align_corners"))
    plain = len(part.shape) == 3 and not part.last and part.argument(2, "scale_factor") is None
    if not plain or mode not in ("bilinear", "nearest") or part.argument(6, "antialias", False):
        return None
    return ops.Resize((part.shape[1], part.shape[2]), corners or mode == "nearest", mode)


@rule("mean")
def _mean(part: Candidate) -> Op | None:
    """Over all positions, not keeping their axes."""
    source = part.calls[part.region.inputs[0]]
    dims = part.argument(1, "dim")
    rank = len(source.shape) + 1
    over = sorted(d % rank for d in ([dims] if isinstance(dims, int) else dims or ()))
    positions = {
        (2, False): [1], (2, True): [2], (3, False): [2, 3], (3, True): [1, 2],
        (4, False): [2, 3, 4], (4, True): [1, 2, 3],
    }  # fmt: skip
    last = len(part.shapes[0]) != len(source.shape)
    if part.argument(2, "keepdim", False) or positions.get((len(source.shape), last)) != over:
        return None
    return ops.GlobalAvgPool()


@rule("SqueezeExcitation")
def _squeeze_excite(part: Candidate) -> Op | None:
    """Only traced as a leaf where it is one."""
    o = part.option
    return ops.SqueezeExcite(o["squeeze"], o["activation"].lower(), o["scale_activation"].lower())


@rule("Dropout", "Dropout2d")
def _dropout(part: Candidate) -> Op | None:
    whole = part.call.what == "Dropout2d"
    return None if whole and (len(part.shape) != 3 or part.last) else ops.Dropout(float(part.option["p"]), whole)


@rule("StochasticDepth")
def _drop_path(part: Candidate) -> Op | None:
    return ops.DropPath(float(part.option["p"])) if part.option["mode"] == "row" else None


@rule("add")
def _add(part: Candidate) -> Op | None:
    alike = len(part.call.reads) == 2 and set(part.shapes) == {part.shape} and not part.call.kwargs
    return ops.Add() if alike else None


@rule("mul")
def _mul(part: Candidate) -> Op | None:
    """Of two alike, or of a map and a gate."""
    alike = {part.shape, (part.shape[0], 1, 1)} if len(part.shape) == 3 else {part.shape}
    return ops.Mul() if len(part.call.reads) == 2 and part.shape in part.shapes and {*part.shapes} <= alike else None


@rule("cat")
def _concat(part: Candidate) -> Op | None:
    """Along the channels of maps and vectors, or either axis of tokens."""
    rank = len(part.call.shape) + 1
    axis = part.argument(1, "dim", 0) % rank
    if len(part.call.reads) < 2 or axis == 0 or (part.last and axis != rank - 1):
        return None
    if part.signal:
        return ops.Concat(0 if axis == 1 else 2)
    return ops.Concat(1 if part.last else axis - 1)


@rule("getitem")
def _select_token(part: Candidate) -> Op | None:
    index = part.argument(1, "")
    first = isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None) and isinstance(index[1], int)
    return ops.SelectToken(index[1]) if first and len(part.shapes[0]) == 2 and index[1] >= 0 else None


def _with_attribute(part: Candidate) -> Op | None:
    """An op whose one tensor is an attribute of a module: what a transformer learns beside its modules."""
    attributes = part.attributes
    if part.call.what == "layer_norm":
        return _functional_layer_norm(part, [call.path for call in attributes])
    if len(attributes) != 1 or len(part.shapes) != 1:
        return None
    shape, value = attributes[0].shape, part.shapes[0]
    expanded = any(call.what == "expand" for call in part.region.calls)
    if part.call.what == "mul" and shape == (value[0], 1, 1) and len(value) == 3:
        return ops.LayerScale(attributes[0].fill or 0.0)
    if part.call.what == "add" and shape == (1, *value) and len(value) == 2 and not expanded:
        return ops.PositionEmbedding()
    token = part.call.what == "cat" and part.call.argument(1, "dim", 0) == 1 and shape == (1, 1, value[-1])
    before = token and part.calls[part.call.reads[0]].what == "expand"
    return ops.ClassToken() if before and part.shape == (value[0] + 1, value[1]) else None


def _functional_layer_norm(part: Candidate, paths: list[str]) -> Op | None:
    """Of a module that calls the function with its own weight and bias."""
    over, root = tuple(part.argument(1, "normalized_shape")), part.region.root
    own = sorted(paths) == [f"{root}.bias", f"{root}.weight"]
    whole = own and not is_grid(part.shape) and part.shape == part.shapes[0]
    return ops.LayerNorm(float(part.argument(4, "eps", 1e-5))) if whole and over == (channels(part.shape),) else None


def _composite(part: Candidate) -> Op | None:
    """Self-attention, whose module hands on its weights as well."""
    modules = [call for call in part.region.calls if call.what == "MultiheadAttention"]
    if len(modules) != 1 or len(part.region.calls) != 2 or part.call.what != "getitem" or part.argument(1, "") != 0:
        return None
    call, o = modules[0], modules[0].options
    plain = o["batch_first"] and o["dropout"] == 0 and not o["add_zero_attn"] and o["_qkv_same_embed_dim"]
    alone = len(set(call.reads)) == 1 and len(call.args) == 3 and set(call.kwargs) <= {"need_weights"}
    op = ops.Attention(o["num_heads"], "in_proj_bias" in o["tensors"])
    return op if plain and alone and set(o["tensors"]) == set(op.parameters(part.shape)) else None
