"""torchvision's models, traced by torch.fx; the one module of `specc/` that imports torch, and only when called."""

from __future__ import annotations

import copy
import operator
import types
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..diagnostics import did_you_mean
from .graph import BackboneGraph
from .ops import Flatten, Op, Saved, Shape, ShapeError, ToMap, ToTokens, numel
from .ops.opaque import Opaque, Part, Tensor
from .problems import BackboneError, Path, Problem
from .traced.calls import Call, Kind, Ref, Traced
from .traced.layering import layered
from .traced.lowering import lower
from .traced.regions import common

PATH: Path = ("backbone", "torchvision")
BATCHES = (2, 3)  # two batches tell what grows with the batch from what does not
LEAVES = frozenset({"StochasticDepth", "LayerNorm2d"})  # beside torch's own modules
IN_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul}
TRACKED = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def backbone(model: str, image: Shape, classes: int) -> BackboneGraph:
    """The model for images of shape `image` as a graph; raises `BackboneError` or `ShapeError`."""
    _check_name(model)
    laboratory = load(model, classes, image)
    return layered(image, lower(laboratory.traced, laboratory), laboratory.traced.lists)


def extract(op: Opaque) -> Any:
    """The opaque op as a module on meta; `fixed_buffers` are the values of buffers that no training changes."""
    part = op.part
    return load(part.model, part.classes, part.image).module(part)


def _check_name(model: str) -> None:
    try:
        import torchvision.models as models
    except ImportError as error:
        text = f"`torchvision: {model}` has to be traced once, which needs torch and torchvision: {error}"
        raise BackboneError(Problem("SPC309", text, PATH, "not in the cache", ("install torchvision",))) from None
    names = models.list_models(module=models)
    if model not in names:
        help = did_you_mean(model, names)
        text = f"torchvision {_version(models)} has no classification model called `{model}`"
        raise BackboneError(Problem("SPC307", text, PATH, "unknown model", help))


def _version(models: Any) -> str:
    import torchvision

    return str(torchvision.__version__)


@lru_cache(maxsize=2)
def load(model: str, classes: int, image: Shape) -> Laboratory:
    """The traced model, untouched by whatever device or fake tensors are in force around the caller."""
    import torch
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes(), torch.device("cpu"):
        return Laboratory(model, classes, image)


class Laboratory:
    """A traced model on meta tensors, whose parts can be taken out, run and measured."""

    def __init__(self, model: str, classes: int, image: Shape) -> None:
        network, self.fills = _build(model, classes, image)
        self.fixed = {
            name: buffer.clone() for name, buffer in network.named_buffers() if name.rpartition(".")[2] not in TRACKED
        }
        network.to("meta")
        self.graph, self.scopes = _trace(model, network)
        self.network = network
        self.values = [_evaluate(network, self.graph, (batch, *image)) for batch in BATCHES]
        self.nodes = {node.name: node for node in self.graph.nodes}
        calls = tuple(self._calls())
        output = next(iter(self.graph.nodes)).graph.output_node().args[0].name
        self.traced = Traced(model, classes, image, calls, output, frozenset(_lists(network)))

    def _calls(self) -> Iterable[Call]:
        import torch

        depends: set[str] = set()
        for node in self.graph.nodes:
            if node.op == "output":
                continue
            first, second = (values[node] for values in self.values)
            if node.op == "placeholder" or any(source.name in depends for source in node.all_input_nodes):
                depends.add(node.name)
            kind = _kind(first, second, node.name in depends)
            if kind == "number":
                depends.discard(node.name)
            shape = tuple(first.shape) if isinstance(first, torch.Tensor) else ()
            path = str(node.target) if node.op in ("call_module", "get_attr") else ""
            module = self.network.get_submodule(path) if node.op == "call_module" else None
            yield Call(
                node.name, _what(node, module), path, self.scopes[node.name], kind,
                shape[1:] if kind == "sample" else shape, _plain(node.args), _plain(node.kwargs),
                _options(module) if module is not None else {}, self.fills.get(path),
            )  # fmt: skip

    def module(self, part: Part) -> Any:
        """The part as a torch module on meta."""
        import torch

        return _extract(torch, self, part)

    def opaque(self, part: Part, takes: tuple[Shape, ...]) -> Op:
        """The part as an op, measured with two batches."""
        module = self.module(part)
        weights = tuple(
            Tensor(n, tuple(p.shape), self.fills.get(f"{part.root}.{n}".lstrip("."))) for n, p in module.named_parameters()
        )
        if weights and not part.root:
            text = f"`{weights[0].name}` is a parameter of the model itself, used by `{part.output}`, which is no known op"
            raise BackboneError(Problem("SPC308", text, PATH, "cannot be traced"))
        state = tuple(Tensor(n, tuple(b.shape)) for n, b in module.named_buffers())
        gives, keeps, shares, hands_back, work = _measure(module, takes)
        return Opaque(part, takes, gives, weights, state, work, keeps, shares, hands_back)

    def movement(self, part: Part, takes: Shape) -> Op | None:
        """The op that puts numbers to the same places, found by moving consecutive numbers."""
        import torch

        module = self.module(part)
        x = torch.arange(2 * numel(takes)).view(2, *takes)
        y = module(x)
        if len(takes) == 3 and y.dim() == 2:
            return Flatten() if torch.equal(y, x.flatten(1)) else None
        if len(takes) == 3 and y.dim() == 3:
            return ToTokens() if torch.equal(y, x.flatten(2).transpose(1, 2)) else None
        if len(takes) == 2 and y.dim() == 4 and y.shape[1] == takes[1]:
            size = tuple(y.shape[2:])
            return ToMap(size) if torch.equal(y, x.transpose(1, 2).unflatten(2, size)) else None
        return None


def _build(model: str, classes: int, image: Shape) -> tuple[Any, dict[str, float]]:
    """The model with nothing drawn at random, and the parameters that begin with one number everywhere."""
    import torch
    import torchvision.models as models
    from torch.overrides import TorchFunctionMode

    drawn: set[int] = set()

    class Undrawn(TorchFunctionMode):
        """Leaves tensors as they are where they would be drawn at random."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "").endswith(("normal_", "uniform_")):
                target = args[0] if args else kwargs["tensor"]
                drawn.add(target.untyped_storage().data_ptr())
                return target
            return func(*args, **(kwargs or {}))

    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    if model.startswith("vit_"):
        options["image_size"] = image[1]
    if model.startswith("maxvit"):
        options["input_size"] = image[1:]
    if model in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    try:
        with Undrawn():
            network = models.get_model(model, **options)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _misfit(model, image, error) from None
    fills = {
        name: float(p.flatten()[0])
        for name, p in network.named_parameters()
        if p.untyped_storage().data_ptr() not in drawn and torch.equal(p.min(), p.max())
    }
    return network.train(), fills


def _misfit(model: str, image: Shape, error: BaseException) -> ShapeError:
    return ShapeError(f"{model} says: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _trace(model: str, network: Any) -> tuple[Any, dict[str, str]]:
    """The model's graph of calls, none of them in place, and the module that each is in."""
    import torch.fx

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            leaf = type(m).__name__ in LEAVES or _is_squeeze_excitation(m)
            return leaf or super().is_leaf_module(m, module_qualified_name)

    try:
        graph = Tracer().trace(network)
    except Exception as error:
        text = f"torch.fx cannot trace `{model}`: {str(error).splitlines()[0]}"
        raise BackboneError(Problem("SPC308", text, PATH, "cannot be traced")) from None
    scopes = {}
    for node in list(graph.nodes):
        stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        scopes[node.name] = stack[-1] if stack else ""
        node.target = IN_PLACE.get(node.target, node.target) if node.op == "call_function" else node.target
        if "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
        _check_dropout(node)
        if _does_nothing(network, node):
            node.replace_all_uses_with(next(iter(node.all_input_nodes)))
            graph.erase_node(node)
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return graph, scopes


def _does_nothing(network: Any, node: Any) -> bool:
    if node.op == "call_module":
        return type(network.get_submodule(node.target)).__name__ == "Identity"
    return getattr(node.target, "__name__", "") == "cat" and len(node.all_input_nodes) == 1 and len(node.args[0]) == 1


def _check_dropout(node: Any) -> None:
    """A function is told once and for all whether the model is in training, so nothing may depend on it."""
    if node.kwargs.get("training") and any(node.kwargs.get(name) for name in ("p", "dropout")):
        text = f"`{node.name}` drops numbers in a function, which would drop them in evaluation too"
        raise BackboneError(Problem("SPC308", text, PATH, "cannot be traced"))


def _is_squeeze_excitation(module: Any) -> bool:
    if type(module).__name__ != "SqueezeExcitation":
        return False
    pool, gates = getattr(module.avgpool, "output_size", None), ("Sigmoid", "Hardsigmoid")
    known = type(module.activation).__name__ in ("ReLU", "SiLU") and type(module.scale_activation).__name__ in gates
    return known and pool in (1, (1, 1)) and module.fc1.bias is not None and module.fc2.bias is not None


def _evaluate(network: Any, graph: Any, shape: Shape) -> Mapping[Any, Any]:
    """The value of every node for one batch, on meta."""
    import torch
    from torch.fx import Interpreter

    values: dict[Any, Any] = {}

    class Recorder(Interpreter):
        def run_node(self, n: Any) -> Any:
            values[n] = super().run_node(n)
            return values[n]

    try:
        with torch.no_grad():
            Recorder(torch.fx.GraphModule(network, graph)).run(torch.empty(shape, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _misfit("torchvision", shape[1:], error.__cause__ or error) from None
    return values


def _kind(first: Any, second: Any, depends: bool) -> Kind:
    import torch

    if isinstance(first, (tuple, list)) and any(isinstance(item, torch.Tensor) for item in first):
        return "split"
    if not isinstance(first, torch.Tensor):
        return "number"
    if not depends:
        return "constant"
    batched = first.is_floating_point() and 2 <= first.dim() <= 4 and (first.shape[0], second.shape[0]) == BATCHES
    return "sample" if batched and first.shape[1:] == second.shape[1:] else "foreign"


def _what(node: Any, module: Any) -> str:
    if module is not None:
        return type(module).__name__
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", node.target))
    return {"placeholder": "input", "get_attr": "get_attr"}.get(node.op, str(node.target))


def _plain(value: Any) -> Any:
    """Arguments without torch's classes."""
    import torch.fx

    if isinstance(value, torch.fx.Node):
        return Ref(value.name)
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(_plain(value.start), _plain(value.stop), _plain(value.step))
    return value


def _options(module: Any) -> dict[str, Any]:
    """A module's attributes, the classes of its children, and the names of its parameters as `tensors`."""
    kinds = (bool, int, float, str, tuple, types.NoneType)
    options = {name: value for name, value in vars(module).items() if isinstance(value, kinds) and name[0] != "_"}
    children = {name: type(child).__name__ for name, child in module.named_children()}
    tensors = tuple(name for name, _ in module.named_parameters())
    own = {"_qkv_same_embed_dim": getattr(module, "_qkv_same_embed_dim", False)}
    return options | children | own | {"tensors": tensors, "squeeze": getattr(getattr(module, "fc1", None), "out_channels", 0)}


def _lists(network: Any) -> Iterable[str]:
    """The modules that hold others in order, some of which hold modules themselves."""
    import torch

    for name, module in network.named_modules():
        listing = isinstance(module, (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict))
        if listing and any(any(child.children()) for child in module.children()):
            yield name
