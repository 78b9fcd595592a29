"""Hears of every call of a forward, and writes it down as a node of a graph of torch.fx."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn
from torch.autograd import Function
from torch.fx._symbolic_trace import _wrapped_fns_to_patch
from torch.overrides import TorchFunctionMode

from .lines import at_own_line
from .written import (
    OPERATORS,
    another,
    called_plainly,
    function,
    is_leaf,
    is_method,
    main,
    not_in_place,
    put,
    tensors,
    writes,
)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Untraceable(Exception):
    """A module's forward does what cannot be written down; as one node it may be."""

    def __init__(self, module: str, why: str, depends: bool = False) -> None:
        super().__init__(why)
        self.module, self.depends = module, depends


@dataclass(slots=True)
class Recording:
    """The calls of one forward, in order, their values, and the innermost module of each."""

    graph: Any
    values: dict[Any, Any] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)  # tensors that are no parameter and no buffer
    norms: dict[str, nn.Module] = field(default_factory=dict)  # batch norms whose forward does more than that
    trail: list[tuple[str, Any]] = field(default_factory=list)  # who did what: nodes, and modules called and done with


class Recorder(TorchFunctionMode):
    """A mode that, while entered, writes down what is done with tensors."""

    def __init__(self, network: nn.Module, leaves: Set[str]) -> None:
        super().__init__()
        self.network, self.leaves = network, leaves
        self.recording = Recording(torch.fx.Graph())
        self.paths: dict[int, str] = {}
        for path, module in network.named_modules():
            self.paths.setdefault(id(module), path)
        self.owned = {id(t): name for name, t in (*network.named_parameters(), *network.named_buffers())}
        self.attributes: dict[str, Any] = {}
        self.nodes: dict[int, Any] = {}  # of tensors
        self.alive: dict[int, Tensor] = {}  # so that no other tensor gets the same id
        self.stale: dict[int, int] = {}  # tensors that share numbers with one that was written to
        self.stack: list[str] = [""]
        self.silent = False

    @property
    def scope(self) -> str:
        """The module whose forward runs."""
        return self.stack[-1]

    def begin(self, x: Tensor) -> None:
        """The forward begins with this batch."""
        self._made(x, self._node("placeholder", "x", (), {}, x))

    def end(self, result: Any) -> None:
        """It ends with this."""
        self.recording.trail.append(("", self.recording.graph.output(self._read(main(result)))))

    def module_called(self, module: nn.Module, plain: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A module is called: it is one node, or what it calls is heard of."""
        path = self.paths.get(id(module))
        if self.silent or path is None:
            return plain(module, *args, **kwargs)
        self.recording.trail.append((self.scope, f"calls {path}"))
        self.stack.append(path)
        leaf = path in self.leaves or is_leaf(module)
        if isinstance(module, BATCH_NORMS) and not leaf:
            self.recording.norms[path] = module
        if leaf and path:
            given = self._read((args, kwargs))
            with self._silence():
                result = plain(module, *args, **kwargs)
                result = another(result, (*args, *kwargs.values()))
            self._made(result, self._node("call_module", path, given[0], given[1], result))
            self._cut_off(result)
        else:
            result = plain(module, *args, **kwargs)
        self.stack.pop()  # what fails says where
        self.recording.trail.append((path, "is done"))
        return result

    def applied(self, plain: Callable[..., Any], kind: type, args: Any, kwargs: Any) -> Any:
        """A function with a backward of its own, which is no call that could be written down."""
        if not self.silent:
            raise self._untraceable(f"it calls `{kind.__name__}`, which has a backward of its own")
        return plain(*args, **kwargs)

    def wrapped(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is one node, as `torch.fx.wrap` says."""

        @wraps(plain)
        def called(*args: Any, **kwargs: Any) -> Any:
            if self.silent:
                return plain(*args, **kwargs)
            with self._silence():
                result = another(plain(*args, **kwargs), (*args, *kwargs.values()))
            if any(True for _ in tensors(result)):
                given = self._read((args, kwargs))
                self._made(result, self._node("call_function", plain, given[0], given[1], result))
            return result

        return called

    @contextmanager
    def _silence(self) -> Iterator[None]:
        self.silent = True
        try:
            yield
        finally:
            self.silent = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A function of torch is called."""
        kwargs = kwargs or {}
        if self.silent:
            return func(*args, **kwargs)
        with self._silence():
            name, result = getattr(func, "__name__", ""), func(*args, **kwargs)
            if not writes(name, kwargs):
                result = another(result, (*args, *kwargs.values()))
        if name == "__setitem__":
            self._put(*args)
        elif name == "__get__" and isinstance(result, Tensor):
            what = func.__self__.__name__
            if what not in ("grad", "data") or result is not None:
                self._made(result, self._node("call_function", getattr, (self._read(args[0]), what), {}, result))
        elif name == "batch_norm" and self.scope in self.recording.norms:
            module_input = kwargs["input"] if "input" in kwargs else args[0]
            self._made(result, self._node("call_module", self.scope, (self._read(module_input),), {}, result))
        elif self.owned.get(id(result), "").endswith("num_batches_tracked"):
            pass  # counted by the module itself
        elif any(True for _ in tensors(result)) and name != "__set__":
            self._called(func, name, args, kwargs, result)
        return result

    def _called(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        """A function or a method that makes tensors; what works in place is written down as what does not."""
        changed = (
            next((a for a in args[:1] if isinstance(a, Tensor) and a is result), None) if writes(name, kwargs) else None
        )
        args, kwargs = called_plainly(func, args, kwargs)
        given, named = self._read((tuple(args), kwargs))
        if changed is not None:
            self._written(changed)
            self._may_write(changed)
        if name in OPERATORS:
            target, turned = OPERATORS[name]
            node = self._node("call_function", target, given[::-1] if turned else given, named, result)
        elif is_method(func, name):
            node = self._node("call_method", not_in_place(name), given, named, result)
        else:
            node = self._node("call_function", function(func, name), given, named, result)
        self._made(result, node)
        self._cut_off(result)

    def _cut_off(self, result: Any) -> None:
        """No gradient goes through what is done while gradients are off."""
        for tensor in () if torch.is_grad_enabled() else tensors(result):
            if tensor.is_floating_point():
                self._made(tensor, self._node("call_method", "detach", (self.nodes[id(tensor)],), {}, tensor))

    def _put(self, x: Tensor, index: Any, value: Any) -> None:
        if isinstance(value, Tensor) and self.stale.get(id(x)) == id(value):
            del self.stale[id(x)]  # `x[index] += ...`: python puts the changed view into what it is of
        given = self._read((x, index, value))
        self._written(x)
        self._may_write(x)
        self._made(x, self._node("call_function", put, given, {}, x))

    def _written(self, tensor: Tensor) -> None:
        """All other tensors that share its numbers are not what was written down of them."""
        place = tensor.untyped_storage()._cdata
        for key, other in self.alive.items():
            if key != id(tensor) and other.untyped_storage()._cdata == place:
                self.stale[key] = id(tensor)

    def _may_write(self, tensor: Tensor) -> None:
        """What a module writes into its own buffers is for its next forward too: as one node it goes on doing so."""
        base = tensor if tensor._base is None else tensor._base
        if id(base) in self.owned:
            raise self._untraceable(f"it writes into its `{self.owned[id(base)]}`")

    def _untraceable(self, why: str) -> Untraceable:
        return Untraceable(self.scope, f"{why}{at_own_line(sys._getframe(), '', ' (', ')')}")

    def _node(self, op: str, target: Any, args: Any, kwargs: Any, value: Any) -> Any:
        node = self.recording.graph.create_node(op, target, tuple(args), dict(kwargs))
        self.recording.values[node] = value
        self.recording.scopes[node.name] = self.scope
        self.recording.trail.append((self.stack[-2] if op == "call_module" else self.scope, node))  # whoever calls it
        return node

    def _made(self, value: Any, node: Any) -> None:
        if isinstance(value, Tensor):
            self.nodes[id(value)], self.alive[id(value)] = node, value
            self.stale.pop(id(value), None)
        elif isinstance(value, (Mapping, tuple, list)):
            for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
                if any(True for _ in tensors(item)):
                    self._made(item, self._node("call_function", operator.getitem, (node, key), {}, item))

    def _read(self, value: Any) -> Any:
        """Arguments with nodes in place of tensors."""
        if isinstance(value, Tensor):
            return self._of(value)
        if isinstance(value, Mapping):
            return {key: self._read(item) for key, item in value.items()}
        if isinstance(value, torch.Size):
            return tuple(value)
        if isinstance(value, (tuple, list)):
            return (
                type(value)(map(self._read, value)) if type(value) in (tuple, list) else tuple(map(self._read, value))
            )
        if isinstance(value, slice):
            return slice(self._read(value.start), self._read(value.stop), self._read(value.step))
        return value

    def _of(self, tensor: Tensor) -> Any:
        if id(tensor) in self.stale:
            raise self._untraceable("it reads a tensor of which another view was written to")
        if id(tensor) in self.owned:
            return self._attribute(self.owned[id(tensor)], tensor)
        if id(tensor) not in self.nodes:
            return self._constant(tensor)
        return self.nodes[id(tensor)]

    def _attribute(self, name: str, tensor: Tensor) -> Any:
        if id(tensor) in self.nodes:  # a buffer that was written to
            return self.nodes[id(tensor)]
        if name not in self.attributes:
            self.attributes[name] = self._node("get_attr", name, (), {}, tensor)
        return self.attributes[name]

    def _constant(self, tensor: Tensor) -> Any:
        """A tensor that the network holds beside its buffers."""
        from torch._subclasses import FakeTensor

        if isinstance(tensor, FakeTensor):
            raise self._untraceable("it makes tensors by code that torch does not see")
        name = f"constant_{len(self.recording.constants)}"
        self.recording.constants[name] = tensor
        self.alive[id(tensor)], self.owned[id(tensor)] = tensor, name
        return self._attribute(name, tensor)


@contextmanager
def heard(recorder: Recorder) -> Iterator[None]:
    """While entered, the recorder hears of calls of modules, and of functions that their authors want left whole."""
    plain = nn.Module.__call__
    wrapped = [(names, name, names[name]) for (_, name), names in _wrapped_fns_to_patch.items() if name in names]

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.module_called(module, plain, args, kwargs)

    def apply(kind: Any, *args: Any, **kwargs: Any) -> Any:
        return recorder.applied(apply_plainly.__get__(None, kind), kind, args, kwargs)

    apply_plainly: Any = Function.__dict__["apply"]
    nn.Module.__call__ = call  # type: ignore[method-assign]
    Function.apply = classmethod(apply)
    for names, name, whole in wrapped:
        names[name] = recorder.wrapped(whole)
    try:
        yield
    finally:
        for names, name, whole in wrapped:
            names[name] = whole
        nn.Module.__call__ = plain  # type: ignore[method-assign]
        Function.apply = apply_plainly
