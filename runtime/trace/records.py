"""torch.fx's nodes as plain calls. It looks at torch's objects without importing torch."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from .calls import Call, Kind, Ref
from .owned import Owned

PLAIN = (bool, int, float, str, tuple, types.NoneType)
DRAWS = frozenset({
    "bernoulli", "rand_like", "randn_like", "randint_like", "multinomial", "uniform", "normal", "exponential", "random",
    "rand", "randn", "randint", "randperm",
})  # fmt: skip
LISTS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
HELD = LISTS - {"Sequential"}  # nobody runs them: what they hold is run by others


def record(
    node: Any, network: Any, scope: str, first: Any, second: Any, depends: bool, fills: Mapping[str, float],
    owned: Owned, drawn: bool, most: int = 4,
) -> Call:  # fmt: skip
    """The node as a call; `first` and `second` are its values for two batches, one image larger than the other.

    A sample has at most so many axes, that of the batch included.
    """
    path = str(node.target) if node.op in ("call_module", "get_attr") else ""
    module = network.get_submodule(path) if node.op == "call_module" else None
    kind = "sample" if node.op == "placeholder" else _kind(first, second, depends, drawn, most)
    shape = tuple(first.shape) if is_tensor(first) else ()
    return Call(
        node.name, _what(node, module, network), path, scope, kind, shape[1:] if kind == "sample" else shape,
        _plain(node.args), _plain(node.kwargs), {} if module is None else _options(module), fills.get(path),
        owned.trained(path), owned.fixed(path) or hooked(module),
    )  # fmt: skip


def is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor."""
    return isinstance(value, Tensor)


def holds_tensors(value: Any) -> bool:
    """Whether it is a tensor or has some."""
    items = value.values() if isinstance(value, Mapping) else value
    return is_tensor(value) or (isinstance(value, (tuple, list, Mapping)) and any(map(is_tensor, items)))


def _kind(first: Any, second: Any, depends: bool, drawn: bool, most: int) -> Kind:
    if not holds_tensors(first):
        return "number"
    if not is_tensor(first):
        return "split"
    if not depends:
        return "constant"
    if not first.requires_grad:  # what nothing learns of is made anew by whoever reads it, unless it is drawn
        return "foreign" if drawn else "split"
    batched = 2 <= first.dim() <= most and (first.shape[0], second.shape[0]) == (2, 3)
    return "sample" if batched and first.shape[1:] == second.shape[1:] else "foreign"


def draws(node: Any) -> bool:
    """Whether the call draws numbers; so may modules."""
    name = str(getattr(node.target, "__name__", node.target)).rstrip("_")
    return node.op == "call_module" or name in DRAWS or "dropout" in name


def hooked(module: Any) -> bool:
    """Whether more is done when a module is called than what its class says."""
    return bool(module is not None and (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks))


def _what(node: Any, module: Any, network: Any) -> str:
    if module is not None:
        return type(module).__name__
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", node.target))
    if node.op == "get_attr":  # what is not learnt is no op's tensor
        return "get_attr" if isinstance(attrgetter(str(node.target))(network), nn.Parameter) else "constant"
    return "input" if node.op == "placeholder" else str(node.target)


def _plain(value: Any) -> Any:
    """Arguments without torch's classes."""
    if hasattr(value, "all_input_nodes"):
        return Ref(value.name)
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(_plain(value.start), _plain(value.stop), _plain(value.step))
    return value


def _options(module: Any) -> dict[str, Any]:
    """A module's plain attributes, the classes of its children, and the names of its parameters as `tensors`."""
    options = {name: _plain(value) for name, value in vars(module).items() if isinstance(value, (*PLAIN, list))}
    children = {name: type(child).__name__ for name, child in module.named_children()}
    tensors = tuple(name for name, _ in module.named_parameters())
    squeeze = module.fc1.out_channels if type(module).__name__ == "SqueezeExcitation" else 0
    return options | children | {"tensors": tensors, "squeeze": squeeze}


def is_squeeze_excitation(module: Any) -> bool:
    """Whether the module is the op `squeeze_excite`."""
    if type(module).__name__ != "SqueezeExcitation" or not of_a_library(module):
        return False
    known = type(module.activation).__name__ in ("ReLU", "SiLU")
    gate = type(module.scale_activation).__name__ in ("Sigmoid", "Hardsigmoid")
    pools = getattr(module.avgpool, "output_size", None) in (1, (1, 1))
    return known and gate and pools and module.fc1.bias is not None and module.fc2.bias is not None


def of_a_library(module: Any) -> bool:
    """Whether a class is what a library calls so, and not somebody's own of the same name."""
    return type(module).__module__.partition(".")[0] in ("torch", "torchvision", "timm")


def does_nothing(network: Any, node: Any) -> bool:
    """Whether the value is the one that it reads."""
    if node.op == "call_module":
        return type(network.get_submodule(node.target)).__name__ == "Identity"
    return getattr(node.target, "__name__", "") == "cat" and len(node.args[0]) == 1


def lists(network: Any) -> Iterator[str]:
    """The modules that only hold others: a `Sequential` where some of them hold modules themselves."""
    for name, module in network.named_modules():
        listing = LISTS.intersection(kind.__name__ for kind in type(module).__mro__)
        own = listing and (type(module).__name__ in HELD or any(any(child.children()) for child in module.children()))
        if own:
            yield name
