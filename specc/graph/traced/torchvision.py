"""torchvision's models, traced by torch.fx; with `measuring` all of `specc/` that imports torch, only when called."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from unittest.mock import patch

from ...diagnostics import did_you_mean
from ..concats import nested
from ..graph import BackboneGraph
from ..ops import Flatten, Op, Saved, Shape, ShapeError, ToMap, ToTokens, numel
from ..ops.opaque import Opaque, Part, Tensor
from ..problems import BackboneError, Path, Problem
from .calls import Call, Traced
from .layering import layered
from .lowering import lower
from .measuring import BATCHES, footprints
from .records import does_nothing, drops_always, holds_tensors, is_squeeze_excitation, lists, record

PATH: Path = ("backbone", "torchvision")
LEAVES = frozenset({"StochasticDepth", "LayerNorm2d"})  # beside torch's own modules
IN_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul}
TRACKED = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def backbone(model: str, image: Shape, classes: int) -> BackboneGraph:
    """The model for images of shape `image` as a graph; raises `BackboneError` or `ShapeError`."""
    _check_name(model)
    laboratory = load(model, classes, image)
    return layered(image, tuple(nested(lower(laboratory.traced, laboratory))), laboratory.traced.lists)


def extract(op: Opaque) -> Any:
    """The opaque op as a module on meta; `fixed_buffers` are the values of buffers that no training changes."""
    from torch.utils._python_dispatch import _disable_current_modes

    part = op.part
    with _disable_current_modes():  # fake tensors must not get into the traced model
        return load(part.model, part.classes, part.image).module(part)


def _check_name(model: str) -> None:
    try:
        import torchvision.models as models
    except ImportError as error:
        text = f"`torchvision: {model}` has to be traced once, which needs torch and torchvision: {error}"
        raise BackboneError(Problem("SPC309", text, PATH, "not in the cache", ("install torchvision",))) from None
    names = models.list_models(module=models) + models.list_models(module=models.segmentation)
    if model not in names:
        help = did_you_mean(model, names)
        text = f"torchvision {_version(models)} has no classification or segmentation model called `{model}`"
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
        self.measured: dict[str, tuple[Any, ...]] = {}  # by likeness: a model has many parts of one kind
        self.values = [_evaluate(network, self.graph, (batch, *image)) for batch in BATCHES]
        self.nodes = {node.name: node for node in self.graph.nodes}
        calls = tuple(self._calls())
        result = next(node for node in reversed(self.graph.nodes) if node.op == "output").args[0]
        output = result["out"] if isinstance(result, dict) else result
        self.traced = Traced(model, classes, image, calls, output.name, frozenset(lists(network)))

    def _calls(self) -> Iterator[Call]:
        depends: set[Any] = set()
        for node in self.graph.nodes:
            if node.op != "output":
                first, second = (values[node] for values in self.values)
                if holds_tensors(first) and (node.op == "placeholder" or depends.intersection(node.all_input_nodes)):
                    depends.add(node)
                yield record(node, self.network, self.scopes[node.name], first, second, node in depends, self.fills)

    def module(self, part: Part) -> Any:
        """The part as a torch module on meta."""
        return _Extraction(self, part).module()

    def opaque(self, part: Part, takes: tuple[Shape, ...]) -> Op:
        """The part as an op, measured with two batches."""
        module = self.module(part)
        tensors = list(module.named_parameters())
        weights = tuple(Tensor(n, tuple(p.shape), self.fills.get(f"{part.root}.{n}")) for n, p in tensors)
        if weights and not part.root:
            text = (
                f"`{weights[0].name}` belongs to the model itself, and `{part.output}`, which uses it, is no known op"
            )
            raise BackboneError(Problem("SPC308", text, PATH, "cannot be traced"))
        state = tuple(Tensor(n, tuple(b.shape)) for n, b in module.named_buffers())
        alike = _likeness(module, takes)
        if alike not in self.measured:
            self.measured[alike] = (*_measure(module, takes), footprints(module, takes))
        return Opaque(part, takes, self.measured[alike][0], weights, state, *self.measured[alike][1:])

    def in_place(self, part: Part, takes: tuple[Shape, ...]) -> bool:
        """Whether the part leaves the rows and columns of what it reads what they are, seen by moving their numbers.

        A part with tensors of its own cannot be looked at so: it is believed where it gives as many as it takes.
        """
        import torch

        module = self.module(part)
        given = [grid or shape[1:] for grid, shape in zip(part.grids, takes, strict=True)]
        size = tuple(self.values[0][self.nodes[part.output]].shape[1:3])
        if len(set(given)) != 1 or len(given[0]) != 2:
            return False
        if any(True for _ in (*module.parameters(), *module.buffers())):
            return given[0] == size
        h, w = given[0]

        def mean(numbers: Any) -> Any:
            inputs = (numbers.expand(2, c[0], h, w) if len(c) == 3 else numbers.expand(2, c[1], h, w).flatten(2).mT
                      for c in takes)  # fmt: skip
            return module(*inputs)[0].mean(-1).view(size)

        there = mean(torch.ones(1, 1))
        rows, columns = mean(torch.arange(1.0, h + 1)[:, None]) / there, mean(torch.arange(1.0, w + 1)) / there
        alike = torch.allclose(rows, rows[:, :1].expand(size)) and torch.allclose(columns, columns[:1].expand(size))
        return alike and bool((rows.diff(dim=0) > 0).all()) and bool((columns.diff(dim=1) > 0).all())

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
            return ToMap(size) if torch.equal(y, x.transpose(1, 2).reshape(2, takes[1], *size)) else None
        return None


def _build(model: str, classes: int, image: Shape) -> tuple[Any, dict[str, float]]:
    """The model with nothing drawn at random, and the parameters that begin with one number everywhere."""
    import torch
    import torchvision.models as models

    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    if model.startswith("vit_"):
        options["image_size"] = image[1]
    if model.startswith("maxvit"):
        options["input_size"] = image[1:]
    if model in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    if model in models.list_models(module=models.segmentation):
        options |= {"aux_loss": False, "weights_backbone": None}
    mode = _undrawn()
    try:
        with mode, patch.object(torch.nn.init, "trunc_normal_", _skip):
            network = models.get_model(model, **options)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _misfit(model, image, error) from None
    fills = {
        name: float(tensor.flatten()[0])
        for name, tensor in network.state_dict().items()
        if tensor.untyped_storage().data_ptr() not in mode.drawn and bool((tensor == tensor.flatten()[0]).all())
    }
    return network.train(), fills


def _skip(tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """Instead of `trunc_normal_`, which draws again until all numbers are near."""
    return tensor.normal_()


def _undrawn() -> Any:
    """A mode in which drawing at random leaves tensors as they are and notes their storages in `drawn`."""
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.drawn: set[int] = set()

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            target: Any = args[0] if args else (kwargs or {}).get("tensor")
            if name.endswith(("normal_", "uniform_")):
                self.drawn.add(target.untyped_storage().data_ptr())
                return target
            if name in ("zero_", "fill_"):
                self.drawn.discard(target.untyped_storage().data_ptr())
            return func(*args, **(kwargs or {}))

    return Undrawn()


def _misfit(model: str, image: Shape, error: BaseException) -> ShapeError:
    return ShapeError(f"{model} says: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _trace(model: str, network: Any) -> tuple[Any, dict[str, str]]:
    """The model's graph of calls, none of them in place, and the module that each is in."""
    import torch.fx

    class Tracer(torch.fx.Tracer):
        proxy_buffer_attributes = True  # otherwise what is computed from them becomes a constant

        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            leaf = type(m).__name__ in LEAVES or is_squeeze_excitation(m)
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
        if drops_always(node):
            text = f"`{node.name}` of `{model}` drops numbers in a function, which would drop them in evaluation too"
            raise BackboneError(Problem("SPC308", text, PATH, "cannot be traced"))
        if does_nothing(network, node):
            node.replace_all_uses_with(next(iter(node.all_input_nodes)))
            graph.erase_node(node)
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return graph, scopes


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


class _Extraction:
    """Copies the calls of a part into a graph of its own; numbers that grow with the batch are computed from it."""

    def __init__(self, laboratory: Laboratory, part: Part) -> None:
        import torch.fx

        self.laboratory, self.part = laboratory, part
        self.graph = torch.fx.Graph()
        self.copies: dict[str, Any] = {}
        self.owned: dict[str, Any] = {}
        self.batch: Any = None

    def module(self) -> Any:
        """The part as a module on meta, its tensors called relative to the part's root."""
        import torch.fx

        inputs = [self.graph.placeholder(f"x{i}") for i in range(len(self.part.inputs))]
        self.batch = self.graph.call_method("size", (inputs[0], 0))
        for name, x, grid in zip(self.part.inputs, inputs, self.part.grids, strict=True):
            self.copies[name] = self.graph.call_method("unflatten", (x, 1, grid)) if grid else x
        out = self.copy(self.laboratory.nodes[self.part.output])
        self.graph.output(self.graph.call_method("flatten", (out, 1, 2)) if self.part.folds else out)
        if not self.batch.users:
            self.graph.erase_node(self.batch)
        module: Any = torch.fx.GraphModule(self.owned, self.graph, "Opaque")
        root = self.part.root + "." if self.part.root else ""
        fixed = self.laboratory.fixed
        module.fixed_buffers = {n: fixed[root + n] for n, _ in module.named_buffers() if root + n in fixed}
        return module

    def copy(self, node: Any) -> Any:
        """The node's copy, or the number that it stands for."""
        if node.name not in self.copies:
            first, second = (values[node] for values in self.laboratory.values)
            self.copies[node.name] = self._call(node) if holds_tensors(first) else self._number(first, second)
        return self.copies[node.name]

    def _call(self, node: Any) -> Any:
        import torch.fx

        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), self.copy)
        target = node.target
        if node.op in ("call_module", "get_attr"):
            target = node.target.removeprefix(self.part.root + ".")
            found = operator.attrgetter(node.target)(self.laboratory.network)
            self.owned[target] = copy.deepcopy(found)
        return self.graph.create_node(node.op, target, args, kwargs)

    def _number(self, first: Any, second: Any) -> Any:
        """A number as a + b · batch; inside of shapes too."""
        if isinstance(first, (tuple, list)):
            return tuple(map(self._number, first, second))
        if isinstance(first, bool) or first == second:
            return first
        slope = (second - first) // (BATCHES[1] - BATCHES[0])
        product = self.graph.call_function(operator.mul, (self.batch, slope))
        return self.graph.call_function(operator.add, (product, first - slope * BATCHES[0]))


def _likeness(module: Any, takes: tuple[Shape, ...]) -> str:
    """Everything that decides what a part takes, but for names."""
    from torch.fx import map_arg

    number = {node: f"%{i}" for i, node in enumerate(module.graph.nodes)}
    calls = [(n.op, str(n.target), str(map_arg((n.args, n.kwargs), number.get))) for n in module.graph.nodes]
    tensors = [
        (name, tuple(t.shape), t.requires_grad) for name, t in (*module.named_parameters(), *module.named_buffers())
    ]
    return repr((takes, calls, tensors, [str(child) for child in module.children()]))


def _measure(module: Any, takes: tuple[Shape, ...]) -> tuple[Shape, int, Saved, bool, bool]:
    """Shape of the result, FLOPs of a sample, what is saved for the backward, and views forward and backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*(torch.empty(BATCHES[0], *shape, device="meta") for shape in takes))
    gives, small, shares, hands_back = _run(module, takes, BATCHES[0])
    *_, large, _, _ = _run(module, takes, BATCHES[1])
    step = BATCHES[1] - BATCHES[0]
    elements, others = ((after - before) // step for before, after in zip(small[2:], large[2:], strict=True))
    fixed = (4 * small[2] + small[3] - BATCHES[0] * (4 * elements + others)) // 4
    keeps = Saved(small[0], small[1], elements=elements, bytes=others, floats=max(fixed, 0))
    return gives, counter.get_total_flops() // BATCHES[0], keeps, shares, hands_back


def _run(module: Any, takes: tuple[Shape, ...], batch: int) -> tuple[Shape, tuple[Any, ...], bool, bool]:
    """One forward and backward: (inputs kept, output kept, numbers of floats and further bytes kept)."""
    import torch

    xs = [torch.empty(batch, *shape, device="meta").requires_grad_() for shape in takes]
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        kept.setdefault(_place(tensor), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(*xs)
    cotangent = torch.empty_like(out)
    grads = torch.autograd.grad(out, xs, cotangent, allow_unused=True)
    inputs = tuple(i for i, x in enumerate(xs) if _place(x) in kept)
    known = {_place(t) for t in (*xs, out, *module.parameters(), *module.buffers())}
    own = [tensor for place, tensor in kept.items() if place not in known]
    elements = sum(t.untyped_storage().nbytes() // t.element_size() for t in own if t.dtype == torch.float32)
    others = sum(t.untyped_storage().nbytes() for t in own if t.dtype != torch.float32)
    views = _place(out) == _place(xs[0])
    hands_back = all(g is not None and _place(g) == _place(cotangent) for g in grads)
    return tuple(out.shape[1:]), (inputs, _place(out) in kept and not views, elements, others), views, hands_back


def _place(tensor: Any) -> int:
    """What tells storages apart, on meta too."""
    return int(tensor.untyped_storage()._cdata)
