"""Two recordings of one network, of batches of 2 and 3: what differs between them grows with the batch.

A network that does other things in evaluation, or for another batch, does so in some module; that becomes one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, zip_longest
from typing import Any

import torch
from torch import nn

from specc.graph.ops.source import Source
from specc.graph.problems import BackboneError, Problem

from .measuring import BATCHES
from .networks import misfit
from .recorder import BATCH_NORMS, Recording, Untraceable
from .recording import recorded
from .written import NoAnswer

DROPPING: dict[Any, Any] = {  # what drops numbers as a function, and as a module, which does so in training only
    nn.functional.dropout: nn.Dropout, nn.functional.dropout1d: nn.Dropout1d, nn.functional.dropout2d: nn.Dropout2d,
    nn.functional.dropout3d: nn.Dropout3d, nn.functional.alpha_dropout: nn.AlphaDropout,
}  # fmt: skip
ANSWERS = ("what is called `logits` or `out` is, or the first of a tuple of others",
           "a module around it gives that one alone, or gives it the name `logits`")  # fmt: skip
MOST = 200  # modules that become one node each, before a network is given up


def merged(source: Source, network: nn.Module) -> tuple[Any, list[dict[Any, Any]], dict[str, str], dict[str, Any]]:
    """Graph, values for both batches, scopes and further constants; raises `BackboneError`."""
    leaves = set(source.leaves)
    unknown = leaves - {name for name, _ in network.named_modules()}
    if unknown:
        raise _problem(source, f"`{source.name}` has no submodule `{sorted(unknown)[0]}`")
    _check_norms(source, network)
    for _ in range(MOST):
        try:
            first, second, evaluated = _recordings(source, network, leaves)
        except Untraceable as error:
            _add(source, network, leaves, error.module, str(error), depends=error.depends)
            continue
        except NoAnswer as error:
            text = f"`{source.name}` gives {error}, and nothing says which of them is the answer"
            raise BackboneError(Problem("SPC308", text, source.where, "gives several", ANSWERS)) from None
        except Exception as error:  # of the network's own code, whatever it is
            raise misfit(source, error) from error
        module, why = next(_differences(first, second, evaluated), ("", ""))
        if not why:
            _as_modules(network, first)
            norm: Any
            for norm in first.norms.values():  # what else it does is written down by itself
                norm.__class__ = next(kind for kind in BATCH_NORMS if isinstance(norm, kind))
            return _numbered(first, second)
        _add(source, network, leaves, module, why)
    raise _problem(source, f"`{source.name}` has more than {MOST} modules that cannot be taken apart")


def _recordings(source: Source, network: nn.Module, leaves: set[str]) -> tuple[Recording, Recording, Recording]:
    """Two in training, the second one wider in batch and numbers, and one in evaluation."""
    shape, dtype = source.image, getattr(torch, source.dtype)
    first = recorded(network.train(), (BATCHES[0], *shape), dtype, leaves, parts=source.parts)
    evaluated = recorded(network.eval(), (BATCHES[0], *shape), dtype, leaves, parts=source.parts)
    second = recorded(network.train(), (BATCHES[1], *shape), dtype, leaves, torch.float64, source.parts)
    return first, second, evaluated


def _add(source: Source, network: nn.Module, leaves: set[str], module: str, why: str, depends: bool = False) -> None:
    """Have a module be one node, where that can help, and with it all of its class, which do the same."""
    if module and module not in leaves and not depends:
        kind = type(network.get_submodule(module))
        own = not kind.__module__.startswith("torch.nn")
        leaves.update(
            {module, *(name for name, each in network.named_modules() if name and own and type(each) is kind)}
        )
        return
    where = f"`{module}` of `{source.name}`" if module else f"`{source.name}`"
    held = next((leaf for leaf in source.leaves if f"{module}.".startswith(f"{leaf}.")), "")
    help = (
        f"`{held}` is one node already, whose results still may not depend in size on numbers, nor be decided by them",
        "do the same for all numbers, and choose afterwards: `torch.where(mask, a, b)`, a weighted sum",
    ) * bool(held)  # fmt: skip
    raise _problem(source, f"cannot trace {where}: {why}", help)


def _check_norms(source: Source, network: nn.Module) -> None:
    """Raise `BackboneError` for a norm that weighs a batch by a number in a tensor: traced ones have none."""
    for path, module in network.named_modules():
        if isinstance(module, BATCH_NORMS) and module.track_running_stats and module.momentum is None:
            text = f"`{path}` of `{source.name}` is a batch norm with `momentum=None`, a mean over all batches so far"
            help = ("give it a momentum, `momentum=0.1` say: the mean then follows the last batches",)
            raise _problem(source, f"{text}: how much of it a batch is depends on how many there were", help)


def _problem(source: Source, text: str, help: tuple[str, ...] = ()) -> BackboneError:
    help = help or ("`leaf: [...]` under `backbone` names submodules that are to be one node each",) * (
        source.kind != "torchvision"
    )
    return BackboneError(Problem("SPC308", text, source.where, "cannot be traced", help))


def _differences(first: Recording, second: Recording, evaluated: Recording) -> Iterator[tuple[str, str]]:
    """The module in which recordings part, and what it does otherwise.

    Up to there all of them went through the same modules, so it is that one which decides, and none that it calls.
    """
    for other, what in ((evaluated, "in evaluation"), (second, "for another batch")):
        for (module, a), (_, b) in zip_longest(first.trail, other.trail, fillvalue=("", "is done")):
            both = isinstance(a, torch.fx.Node) and isinstance(b, torch.fx.Node)
            if not (_alike(a, b, other is evaluated) if both else a == b):
                here = next((str(each) for each in (a, b) if isinstance(each, torch.fx.Node)), f"`{module}` {a}")
                yield module, f"it does something else {what} than in training: {here}"


def _alike(a: Any, b: Any, same: bool) -> bool:
    """Whether two nodes are one call; of two batches numbers and kinds of numbers may differ."""
    if (a.op, a.target) != (b.op, b.target):
        return False
    if same and a.target in DROPPING and (a.kwargs.get("training"), b.kwargs.get("training")) == (True, False):
        a.meta["switched"] = True  # only in training, as the module that stands for it does
        return _like((a.args, {**a.kwargs, "training": False}), (b.args, b.kwargs), same)
    return _like((a.args, a.kwargs), (b.args, b.kwargs), same)


def _like(a: Any, b: Any, same: bool) -> bool:
    if isinstance(a, torch.fx.Node) or isinstance(b, torch.fx.Node):
        return getattr(a, "name", None) == getattr(b, "name", None)
    if isinstance(a, (tuple, list)):
        return (
            isinstance(b, (tuple, list))
            and len(a) == len(b)
            and all(_like(x, y, same) for x, y in zip(a, b, strict=True))
        )
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_like(a[key], b[key], same) for key in a)
    if isinstance(a, slice):
        return isinstance(b, slice) and all(
            _like(getattr(a, k), getattr(b, k), same) for k in ("start", "stop", "step")
        )
    if not same and type(a) is type(b) and isinstance(a, (int, torch.dtype)) and not isinstance(a, bool):
        return True
    if not same and is_least(a, b):
        return True
    return type(a) is type(b) and (a == b or (isinstance(a, float) and a != a))


def is_least(a: Any, b: Any) -> bool:
    """Whether they are the least number of both recordings' floats, which masks are made of."""
    return type(a) is type(b) is float and (a, b) == (torch.finfo(torch.float32).min, torch.finfo(torch.float64).min)


def _as_modules(network: nn.Module, recording: Recording) -> None:
    """Modules in place of functions that drop numbers in training only, beside what calls them; swin's drop none."""
    for node in list(recording.graph.nodes):
        if node.meta.get("switched") and node.kwargs["p"]:
            scope = recording.scopes[node.name]
            around = network.get_submodule(scope)
            name = next(name for i in count() if not hasattr(around, name := f"functional_dropout_{i}"))
            around.add_module(name, DROPPING[node.target](node.kwargs["p"]))
            node.op, node.target, node.kwargs = "call_module", f"{scope}.{name}".lstrip("."), {}


def _numbered(first: Recording, second: Recording) -> tuple[Any, list[dict[Any, Any]], dict[str, str], dict[str, Any]]:
    """The first graph, with a node in place of every number that the second one has otherwise."""
    values: list[dict[Any, Any]] = [dict(first.values), {}]
    for a, b in zip(list(first.graph.nodes), list(second.graph.nodes), strict=True):
        if a.op == "output":
            continue
        values[1][a] = second.values[b]

        def number(x: Any, y: Any, at: Any = a) -> Any:
            return _number(first.graph, at, values, x, y)

        a.args, a.kwargs = number(a.args, b.args), number(a.kwargs, b.kwargs)
    return first.graph, values, first.scopes, first.constants


def _number(graph: Any, at: Any, values: list[dict[Any, Any]], x: Any, y: Any) -> Any:
    if isinstance(x, (tuple, list)):
        return type(x)(_number(graph, at, values, *pair) for pair in zip(x, y, strict=True))
    if isinstance(x, dict):
        return {key: _number(graph, at, values, item, y[key]) for key, item in x.items()}
    if isinstance(x, slice):
        return slice(*(_number(graph, at, values, getattr(x, k), getattr(y, k)) for k in ("start", "stop", "step")))
    device = isinstance(x, torch.device)
    if isinstance(x, torch.fx.Node) or (not device and (type(x) is bool or x == y or x != x)):
        return x
    with graph.inserting_before(at):
        node = graph.create_node("call_function", max, (), {}, name=f"{at.name}_number")
    values[0][node], values[1][node] = x, y
    return node
