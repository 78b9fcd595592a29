"""Whether the networks of a plan are wired as the spec says: blocks as the backbone, EMA links as what they copy.

What is read from where is derived here anew, from the expanded backbone and from the links' sources, so that an error
in cutting or copying graphs cannot hide itself. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..graph.frozen import frozen
from ..graph.graph import IMAGES, INPUT, Graph, Node
from ..graph.ops import BatchNorm, Op, Shape, show
from ..graph.problems import BackboneError
from ..plan import LinkPlan, Plan


def miswired(plan: Plan) -> Iterator[str]:
    """Every broken promise as ``network: what is wrong``."""
    for name, network in plan.networks.items():
        images = plan.data.shape if name in _given_images(plan) else None
        yield from (f"{name}: {wrong}" for wrong in _loose(network.graph, images))
    yield from _twice(plan)
    yield from _chain(plan)
    yield from _unlike_backbone(plan)
    for unit in plan.units:
        for link in unit.links:
            yield from (f"{link.ema}: {wrong}" for wrong in _unlike_source(plan, link))
            if link.bias and plan.networks[link.bias].graph != plan.networks[link.ema].graph:
                yield f"{link.bias}: differs from {link.ema}"


def _given_images(plan: Plan) -> set[str]:
    """The networks that are run with the images beside their input: blocks and links."""
    links = (link for unit in plan.units for link in unit.links)
    return {block.name for block in plan.blocks} | {name for link in links for name in (link.ema, link.bias) if name}


def _loose(graph: Graph, images: Shape | None) -> Iterator[str]:
    """Nodes that read what is not there, or something of another shape."""
    known = (
        {INPUT: graph.input} | ({IMAGES: images} if images else {}) | {each.name: each.shape for each in graph.reads}
    )
    for node in graph.nodes:
        if node.name in known:
            yield f"two nodes are called `{node.name}`"
        for name, shape in zip(node.inputs, node.in_shapes, strict=True):
            if name not in known:
                yield f"`{node.name}` reads `{name}`, which is not there"
            elif known[name] != shape:
                yield f"`{node.name}` takes {show(shape)}, but `{name}` is {show(known[name])}"
        known[node.name] = node.shape


def _twice(plan: Plan) -> Iterator[str]:
    """Tensors that have the name of another one, of which only one would be saved."""
    owner: dict[str, str] = {}
    for network in plan.networks.values():
        for node in network.graph.nodes:
            for tensor in (*node.parameters, *node.buffers):
                name = f"{network.prefix}{node.name}.{tensor}"
                if name in owner:
                    yield f"{network.name}: `{name}` is the name of a tensor of {owner[name]} too"
                owner[name] = network.name


def _chain(plan: Plan) -> Iterator[str]:
    """Blocks and heads that are given another shape than they take."""
    given: Shape | None = plan.data.shape
    for block in plan.blocks:
        graph = plan.networks[block.name].graph
        if not given == graph.input == block.input:
            yield f"{block.name}: takes {show(graph.input)}, not what comes before"
        if graph.shape != block.output:
            yield f"{block.name}: gives {show(graph.shape)}, not {show(block.output)}"
        given = block.output
    for unit in plan.units:
        sources = [plan.networks[link.ema].graph for link in unit.links]
        end = plan.networks[plan.blocks[unit.end].name].graph
        if unit.read and unit.read not in end.gives:
            yield f"{unit.name}: reads `{unit.read}`, which its last block does not give"
            continue
        if any(graph.input != end.shape_of(unit.read) for graph in sources):
            yield f"{unit.name}: its links take other features than those of its last block"
        if {graph.shape for graph in sources} - {unit.feature}:
            yield f"{unit.name}: its links give other features than its heads take"


def _unlike_backbone(plan: Plan) -> Iterator[str]:
    """Blocks that do other things, or read other values, than the backbone that the spec describes."""
    try:
        whole = plan.config.network(plan.data)
    except BackboneError as error:  # a traced model that this machine cannot trace
        yield f"backbone: {error}"
        return
    expected = list(frozen(whole, plan.config.train.freeze).nodes)
    found = [(block.name, node) for block in plan.blocks for node in plan.networks[block.name].graph.nodes]
    if [node.name for _, node in found] != [node.name for node in expected]:
        yield "backbone: the blocks have other nodes"
        return
    handed = _handed_on(plan)
    for (block, node), wanted in zip(found, expected, strict=True):
        real = tuple(handed[block].get(name, name) for name in node.inputs)
        if real != wanted.inputs or _plain(node.op) != _plain(wanted.op):
            yield f"{block}: `{node.name}` should read {', '.join(wanted.inputs)}, and reads {', '.join(real)}"
        if node.frozen != wanted.frozen:
            yield f"{block}: `{node.name}` {'is frozen' if node.frozen else 'should be frozen'}"


def _handed_on(plan: Plan) -> dict[str, dict[str, str]]:
    """For each block, what its input and the images are called in the backbone."""
    found, before = {}, INPUT
    for block in plan.blocks:
        found[block.name] = {IMAGES: INPUT, INPUT: before}
        before = plan.networks[block.name].graph.output
    return found


def _plain(op: Op) -> Op:
    """The op without what a block's own batch norms have."""
    return replace(op, updates=1) if isinstance(op, BatchNorm) else op


def _unlike_source(plan: Plan, link: LinkPlan) -> Iterator[str]:
    """Differences between a copy and the nodes of the block that it is an average of."""
    copy, nodes = plan.networks[link.ema].graph.nodes, plan.networks[link.source_block].graph.nodes
    place = {node.name: i for i, node in enumerate(nodes)}
    sources = {i: source for i, node in enumerate(copy) if (source := _source_of(link, node)) in place}
    if not sources:
        yield "averages nothing"
        return
    first = next(place[source] - i for i, source in sources.items())
    originals = nodes[first : first + len(copy)]
    if first < 0 or len(originals) < len(copy):
        yield f"is no part of {link.source_block}"
        return
    inner = {original.name: node.name for original, node in zip(originals, copy, strict=True)}
    entries = {name for original in originals for name in original.inputs} - {*inner, IMAGES}
    if len(entries) != 1:
        yield f"copies what reads {len(entries)} values"
    for original, node in zip(originals, copy, strict=True):
        yield from _unlike(link, original, node, inner | dict.fromkeys(entries, INPUT))


def _unlike(link: LinkPlan, original: Node, node: Node, names: Mapping[str, str]) -> Iterator[str]:
    wanted = tuple(names.get(name, name) for name in original.inputs)
    if node.inputs != wanted or _plain(node.op) != _plain(original.op):
        yield f"`{node.name}` should do what `{original.name}` does, with {_listed(wanted)}"
    tensors = {f"{link.ema}.{node.name}.{p}": f"{original.name}.{p}" for p in node.parameters}
    if any(link.sources.get(name) != source for name, source in tensors.items()):
        yield f"`{node.name}` should be the average of `{original.name}`"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _source_of(link: LinkPlan, node: Node) -> str:
    """The node of the block that a copied node with parameters is an average of; nothing without parameters."""
    tensor = next(iter(node.parameters), "")
    return link.sources.get(f"{link.ema}.{node.name}.{tensor}", "").removesuffix(f".{tensor}")
