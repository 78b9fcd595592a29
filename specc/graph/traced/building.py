"""torchvision's models as torch builds them: without numbers, as a graph of calls, each with its value. Imports torch,
only when called.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from ..ops import Shape, ShapeError
from ..problems import BackboneError, Path, Problem
from .records import does_nothing, drops_always, is_squeeze_excitation

PATH: Path = ("backbone", "torchvision")
LEAVES = frozenset({"StochasticDepth", "LayerNorm2d"})  # beside torch's own modules
IN_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul}


def build(model: str, classes: int, image: Shape) -> tuple[Any, dict[str, float]]:
    """The model with nothing drawn at random, and the parameters that begin with one number everywhere."""
    import torch
    import torchvision.models as models

    mode, normal = _undrawn(), torch.nn.init.trunc_normal_
    torch.nn.init.trunc_normal_ = _skip
    try:
        with mode:
            network = models.get_model(model, weights=None, num_classes=classes, **options(model, image))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _misfit(model, image, error) from None
    finally:
        torch.nn.init.trunc_normal_ = normal
    fills = {
        name: float(tensor.flatten()[0])
        for name, tensor in network.state_dict().items()
        if tensor.untyped_storage().data_ptr() not in mode.drawn and bool((tensor == tensor.flatten()[0]).all())
    }
    return network.train(), fills


def options(model: str, image: Shape) -> dict[str, Any]:
    """The arguments of a model, beside the number of its classes, with which it is the one that is trained."""
    import torchvision.models as models

    if model.startswith("vit_"):
        return {"image_size": image[1]}
    if model.startswith("maxvit"):
        return {"input_size": image[1:]}
    if model in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": False}
    if model in models.list_models(module=models.segmentation):
        return {"aux_loss": False, "weights_backbone": None}
    return {}


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


def trace(model: str, network: Any) -> tuple[Any, dict[str, str]]:
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


def evaluate(network: Any, graph: Any, shape: Shape) -> Mapping[Any, Any]:
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
