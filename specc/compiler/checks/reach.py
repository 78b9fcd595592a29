"""Whether the gradient of some loss reaches all that is to be trained, where more than features cross cuts."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...graph.crossing import reached
from ...plan import Block
from ..draft import Draft
from ..flows import Flows


def check_reach(draft: Draft) -> Draft:
    """Parameters of which only what crosses a cut beside the features is made have no loss before that cut."""
    wide = any(draft.networks[block.name].graph.reads for block in draft.blocks)
    return draft.updated(*_sharded(draft), *_found(draft)) if wide and not draft.failed else draft


def _sharded(draft: Draft) -> Iterator[Diagnostic]:
    spec, devices = draft.spec, draft.spec.config.devices
    if devices.shard and devices.data_parallel > 1:
        message = "a block that reads or gives more than its features has to have all of its parameters, and "
        message += "`devices.shard` leaves every copy a part"
        help = ("`devices: {shard: false}` keeps all of it in every copy, or cut where one tensor alone crosses",)
        beside = spec.beside("parameters are sharded", "devices", "shard")
        yield spec.error("SPC690", message, "split", label="several tensors cross a cut", help=help, secondary=beside)


def _found(draft: Draft) -> Iterator[Diagnostic]:
    flows = Flows(draft.blocks, draft.networks, draft.units)
    for block in draft.blocks:
        graph = draft.networks[block.name].graph
        roots = {name for passage in flows.passages[block.index].values() for name in passage.roots}
        led = reached(graph.nodes, roots) if roots else None  # of a block that no unit trains it is said elsewhere
        lost = [node.name for node in graph.nodes if node.trained and led is not None and node.name not in led]
        if lost:
            yield _lost(draft, block, lost)


def _lost(draft: Draft, block: Block, lost: list[str]) -> Diagnostic:
    spec, graph = draft.spec, draft.graph
    layer = {node.name: layer.name for layer in graph.layers for node in layer.nodes}
    names = list(dict.fromkeys(layer[name] for name in lost))
    shown = ", ".join(f"`{name}`" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    nodes = draft.networks[block.name].graph
    through = next(name for name in (*nodes.gives, nodes.output) if not reached(nodes.nodes, (name,)).isdisjoint(lost))
    end = block.layers[-1]
    message = f"no loss trains {shown}: the features that heads read after `{end}` are not made of it"
    help = (f"cut after `{layer[through]}` too, or let a window reach to where that is read",)
    after = [graph.aliases.get(name, name) for name in spec.config.split.after or ()]
    at = ("split", "after", after.index(end)) if end in after else ("split",)
    return spec.error("SPC433", message, *at, label=f"only `{layer[through]}` is, which crosses", help=help)
