"""Which parts of the backbone stay as they are: `train.freeze`."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic, did_you_mean
from ..graph.called import names_of
from ..graph.frozen import nodes_called, with_frozen
from ..language.source import Path
from .draft import Draft

AT: Path = ("train", "freeze")


def freeze(draft: Draft) -> Draft:
    """Mark the nodes whose parameters stay as they are, so that every later pass knows."""
    names = draft.spec.config.train.freeze
    if not names:
        return draft
    chosen: dict[str, int] = {}  # node, and the entry that names it
    found: list[Diagnostic] = []
    for i, name in enumerate(names):
        called = nodes_called(draft.graph, name)
        if called is None:
            found.append(_unknown(draft, name, i))
        elif not (fresh := called - chosen.keys()):
            message = f"`{name}` has no parameters" if not called else f"what `{name}` stands for is frozen already"
            label = "nothing to freeze" if not called else f"in `{names[chosen[min(called)]]}`"
            found.append(draft.spec.warning("SPC434", message, *AT, i, label=label))
        else:
            chosen |= dict.fromkeys(fresh, i)
    found += _with_others(draft)
    return draft.updated(*found, backbone=with_frozen(draft.graph, chosen.keys()))


def _unknown(draft: Draft, name: str, entry: int) -> Diagnostic:
    names = dict.fromkeys(each for layer in draft.graph.layers for each in names_of(layer.name))
    names |= dict.fromkeys(each for node in draft.graph.nodes for each in names_of(node.name))
    message, help = f"no layer is called `{name}`", did_you_mean(name, names)
    return draft.spec.error("SPC201", message, *AT, entry, label="unknown layer", help=help)


def _with_others(draft: Draft) -> Iterator[Diagnostic]:
    """Where copies keep a part each of every parameter, all of a network's parameters are treated alike."""
    spec, devices = draft.spec, draft.spec.config.devices
    if devices.shard and devices.data_parallel > 1:
        message = "`train.freeze` does not go with `devices.shard`, which treats all parameters of a network alike"
        beside = spec.beside("parameters are sharded", "devices", "shard")
        help = ("`devices: {shard: false}` keeps all of the network in every copy",)
        yield spec.error("SPC690", message, *AT, label="parts of networks", secondary=beside, help=help, key=True)
