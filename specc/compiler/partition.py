"""Check 4: cut the backbone into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from ..diagnostics import Diagnostic, Label, did_you_mean
from ..graph.graph import BackboneGraph, Graph
from ..graph.ops import BatchNorm
from ..language.source import Path
from ..plan import Block, Network
from .cuts import choices, place_cuts
from .draft import Draft
from .recomputation import computed_again, divided, misnamed, pieces_of


def partition(draft: Draft) -> Draft:
    """Place the cuts that `split:` asks for and build one network a block."""
    after = draft.spec.config.split.after
    cuts, found = _even(draft) if after is None else _named(draft, after)
    found += _unknown_norms(draft)
    blocks, networks = build_blocks(draft, cuts)
    found += _misread(draft, blocks, networks)
    found += (*_idle(draft, blocks), *(misnamed(draft) or divided(draft, blocks)))
    return draft.updated(*found, blocks=blocks, networks=networks)


def _even(draft: Draft) -> tuple[list[int], list[Diagnostic]]:
    """Cuts that leave every block nearly the same size by the measure that is asked for."""
    graph, split = draft.graph, draft.spec.config.split
    count = split.blocks or 1
    places = len(choices(graph, count))
    if count > places + 1:
        message = f"{count} blocks need {count - 1} cuts, but the backbone has {places} places where it may be cut"
        beside = (Label(draft.spec.span("backbone", key=True), f"{places} cuts leave every block something to train"),)
        return [], [draft.spec.error("SPC402", message, "split", "blocks", label=f"at most {places + 1}",
                                     help=("fewer blocks, or a deeper backbone",), secondary=beside)]  # fmt: skip
    linked = any(link.source == "next" for link in draft.spec.config.ema_links)
    return place_cuts(graph, count, split.by, linked), []


def _named(draft: Draft, after: list[str]) -> tuple[list[int], list[Diagnostic]]:
    """The positions of the layers named in `split.after`, and what is wrong with them."""
    graph, spec = draft.graph, draft.spec
    found: list[Diagnostic] = []
    cuts: dict[int, int] = {}  # layer -> entry
    last = -1
    for i, name in enumerate(graph.aliases.get(name, name) for name in after):
        where = ("split", "after", i)
        position = graph.index.get(name)
        if position is None:
            found.append(unknown_layer(draft, name, graph.cuts, *where))
        elif position in cuts:
            first = (Label(spec.span("split", "after", cuts[position]), "first named here"),)
            found.append(spec.error("SPC403", f"`{name}` is cut twice", *where, label="again", secondary=first))
        elif name not in graph.cuts:
            found.append(_illegal(draft, name, position, where))
        elif position < last:
            later = (Label(spec.span("split", "after", cuts[last]), "this layer comes later"),)
            message = f"`{name}` lies before `{graph.layers[last].name}`, which is named first"
            found.append(spec.error("SPC404", message, *where, label="out of order", secondary=later))
        else:
            cuts[position] = i
            last = position
    return sorted(cuts), found


def _misread(draft: Draft, blocks: Sequence[Block], networks: Mapping[str, Network]) -> Iterator[Diagnostic]:
    """What `split.read` names that heads cannot read."""
    graph, spec = draft.graph, draft.spec
    ends = {block.layers[-1]: block for block in blocks[:-1]}
    for cut, wanted in spec.config.split.read.items():
        at, end, layer = ("split", "read", cut), graph.aliases.get(cut, cut), graph.aliases.get(wanted, wanted)
        if end not in ends:
            names = [*ends]
            message = f"`read` says what heads read after `{cut}`, where nothing is cut"
            yield spec.error("SPC438", message, *at, label="no cut", help=did_you_mean(cut, names), key=True,
                             secondary=spec.beside("the cuts", "split", "after"))  # fmt: skip
            continue
        gives = {end, *_crossing(graph, networks[ends[end].name].graph)}
        if layer not in graph.index:
            yield unknown_layer(draft, wanted, gives, *at)
        elif layer not in gives:
            message = f"heads cannot read `{wanted}` after `{cut}`: its value is not one that the block hands on there"
            help = (f"it hands on the values of {', '.join(f'`{name}`' for name in graph.index if name in gives)}",)
            yield spec.error("SPC438", message, *at, label="does not cross this cut", help=help)


def _crossing(graph: BackboneGraph, block: Graph) -> set[str]:
    """The layers whose values a block gives beside its output."""
    return {layer.name for layer in graph.layers if layer.nodes[-1].name in block.gives}


def _illegal(draft: Draft, name: str, position: int, where: tuple[str | int, ...]) -> Diagnostic:
    graph = draft.graph
    label = "not a legal cut"
    if position == len(graph.layers) - 1:
        text, label = f"nothing comes after `{name}`, so it cannot end a block before the last", "the last layer"
    elif graph.layers[position].nodes[-1].dtype != "float32":
        text = f"`{name}` cannot end a block: it gives integers, which no head can learn from"
    elif graph.layers[position].nodes[-1].name not in (alive := graph.alive_after(position)):
        text = f"`{name}` cannot end a block: nobody after it reads it, {_alive(graph, alive)}"
    else:
        text = f"`{name}` cannot end a block: integers would cross beside its features, {_alive(graph, alive)}"
    help = (f"nearest legal cuts: {nearest(graph, position, graph.cuts)}",)
    return draft.spec.error("SPC401", text, *where, label=label, help=help)


def _idle(draft: Draft, blocks: tuple[Block, ...]) -> Iterator[Diagnostic]:
    """Blocks without parameters: a warning where the cuts are the user's own, an error where there is no other block.

    Only cuts that the spec names make such blocks.
    """
    spec, graph = draft.spec, draft.graph
    trained = {layer.name for layer in graph.layers if layer.trained}
    frozen = {layer.name for layer in graph.layers if layer.weighted} - trained
    if not trained:
        message = "every layer with parameters is frozen" if frozen else "no layer of the backbone has parameters"
        where = ("train", "freeze") if frozen else ("backbone",)
        yield spec.error("SPC408", message, *where, label="nothing to train", key=True)
        return
    for block in blocks:
        if trained.isdisjoint(block.layers):
            entry = _entry(draft, block, blocks)
            names = f"`{block.layers[0]}`" + (f" to `{block.layers[-1]}`" if len(block.layers) > 1 else "")
            near = nearest(graph, graph.index[block.layers[0]] - 1, graph.cut_choices)
            help = (f"nearest cuts that leave every block something: {near}",)
            message = f"there is nothing to train in block {block.index} ({names})"
            if frozen.isdisjoint(block.layers):
                yield spec.warning("SPC408", message, *entry, label="a block without parameters", help=help)
            else:
                yield _all_frozen(draft, block, message, entry, near)


def _all_frozen(draft: Draft, block: Block, message: str, entry: Path, near: str) -> Diagnostic:
    """Its units train their auxiliary networks alone."""
    spec, last = draft.spec, draft.graph.layers[-1].name in block.layers
    label = "only what its units add is trained" if not last else "a block of frozen layers"
    help = (f"nearest cuts that leave every block something: {near}", f"`levels: [{{..., skip: [{block.index}]}}]` "
            "leaves its unit out")  # fmt: skip
    beside = spec.beside("layers are frozen", "train", "freeze")
    return spec.warning("SPC408", f"{message}: all of it is frozen", *entry, label=label, secondary=beside,
                        help=help[: 1 if last else 2])  # fmt: skip


def _entry(draft: Draft, block: Block, blocks: tuple[Block, ...]) -> tuple[str | int, ...]:
    """Where the spec names the cut at the end of a block, or before the last one."""
    end = blocks[min(block.index, len(blocks) - 2)].layers[-1]
    after = [draft.graph.aliases.get(name, name) for name in draft.spec.config.split.after or ()]
    return ("split", "after", after.index(end)) if end in after else ("split",)


def _alive(graph: BackboneGraph, values: Sequence[str]) -> str:
    """Which tensors later layers read, by the layers that hand them on."""
    output = {layer.nodes[-1].name: layer.name for layer in graph.layers}
    alive = [f"`{output.get(value, value)}`" for value in values]
    if not alive:
        return "and they read the network's input alone"
    shown = ", ".join(alive[:3]) + (f" and {len(alive) - 3} more" if len(alive) > 3 else "")
    return f"what they read is that of {shown}"


def nearest(graph: BackboneGraph, position: int, cuts: tuple[str, ...]) -> str:
    """The cuts next to a position, as help."""
    legal = [graph.index[name] for name in cuts]
    near = [c for c in legal if c < position][-1:] + [c for c in legal if c > position][:1]
    return " and ".join(f"`{graph.layers[c].name}`" for c in near) or "none"


def _unknown_norms(draft: Draft) -> list[Diagnostic]:
    """Keys of `train.batch_norm_updates` that no part of the backbone is called by."""
    rules = draft.spec.config.train.batch_norm_updates
    known = {"default"} | {prefix for node in draft.graph.nodes for prefix in _prefixes(node.name)} if rules else set()
    names = ["default", *draft.graph.index]
    where = ("train", "batch_norm_updates")
    return [unknown_layer(draft, name, names, *where, name, key=True) for name in rules if name not in known]


def unknown_layer(draft: Draft, name: str, names: Iterable[str], *at: str | int, key: bool = False) -> Diagnostic:
    """A layer that is named at a place of the spec, and that there is not; `names` are what may have been meant."""
    message, help = f"no layer is called `{name}`", did_you_mean(name, names)
    return draft.spec.error("SPC201", message, *at, label="unknown layer", help=help, key=key)


def build_blocks(draft: Draft, cuts: list[int]) -> tuple[tuple[Block, ...], dict[str, Network]]:
    """One block and one network for every run of layers between the cuts."""
    graph = draft.graph
    firsts, lasts = [0, *(c + 1 for c in cuts)], [*cuts, len(graph.layers) - 1]
    blocks, networks, runs, again = [], {}, executions(draft, len(firsts)), computed_again(draft)
    for i, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        part = _with_updates(draft, graph.part(first, last), runs[i])
        name = f"block{i}"
        layers = tuple(layer.name for layer in graph.layers[first : last + 1])
        blocks.append(Block(i, name, layers, part.input, part.shape))
        networks[name] = Network(name, "", part, name, pieces_of(graph, again, first, last))
    return tuple(blocks), networks


def executions(draft: Draft, count: int) -> list[int]:
    """How many units contain each block, skipped ones counted: so often the reference code runs it a step."""
    levels = draft.spec.config.levels
    return covered(((level.start(end), end) for level in levels for end in range(level.first_end, count)), count)


def covered(ranges: Iterable[tuple[int, int]], count: int) -> list[int]:
    """How many of the ranges (both ends belong to them) contain each number below `count`.

    >>> covered([(0, 1), (1, 2)], 4)
    [1, 2, 1, 0]
    """
    changes = [0] * (count + 1)
    for first, last in ranges:
        changes[first] += 1
        changes[last + 1] -= 1
    return list(accumulate(changes[:count]))


def _with_updates(draft: Draft, graph: Graph, per_unit: int) -> Graph:
    """The graph with every batch norm's `updates` as `train.batch_norm_updates` says."""
    rules = draft.spec.config.train.batch_norm_updates
    if not rules:
        return graph

    def updates(name: str) -> int:
        rule = next((rules[p] for p in _prefixes(name) if p in rules), rules.get("default", 1))
        return per_unit if rule == "per_unit" else int(rule)

    nodes = (
        replace(n, op=replace(n.op, updates=updates(n.name))) if isinstance(n.op, BatchNorm) else n for n in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def _prefixes(name: str) -> Iterator[str]:
    """``a.b.c``, ``a.b``, ``a``."""
    while name:
        yield name
        name = name.rpartition(".")[0]
