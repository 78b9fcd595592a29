"""EMA links: which layers a unit's auxiliary network copies, and why it sometimes cannot."""

from __future__ import annotations

from collections.abc import Iterator

from ..backbone.graph import Graph
from ..backbone.ops import show
from ..diagnostics import Diagnostic, Label, did_you_mean
from ..plan import LinkPlan
from ..spec.models import EmaLink
from .draft import Draft
from .site import Site


def form_links(site: Site) -> tuple[tuple[LinkPlan, ...], tuple[int, ...]]:
    """The unit's EMA links and the shape of what comes out of them."""
    links: list[LinkPlan] = []
    shapes: list[tuple[int, tuple[int, ...]]] = []
    for i, link in enumerate(site.draft.spec.config.ema_links):
        if link.levels is not None and site.level.name not in link.levels:
            continue
        first = _source(site, i, link)
        if first is None:
            continue
        plan, graph = _link(site, len(links), link, first)
        links.append(plan)
        shapes.append((i, graph.shape))
    for i, shape in shapes[1:]:
        if shape != shapes[0][1]:
            message = f"the links of `{site.name}` give {show(shapes[0][1])} and {show(shape)}, which cannot be added"
            site.found.append(site.draft.spec.error("SPC423", message, "ema_links", i, label="another shape"))
    return tuple(links), shapes[0][1] if shapes else site.end.output


def _source(site: Site, i: int, link: EmaLink) -> int | None:
    """Index of the first layer to copy; None (and a diagnostic) where that cannot be."""
    graph, spec = site.draft.graph, site.draft.spec
    after = graph.index[site.end.layers[-1]] + 1
    first = after if link.source == "next" else graph.index.get(link.source)
    if first is None:
        help = did_you_mean(link.source, ["next", *graph.index])
        message = f"no layer is called `{link.source}`"
        site.linked.add(i)
        site.found.append(spec.error("SPC201", message, "ema_links", i, "from", label="unknown layer", help=help))
        return None
    if first < after:  # a fixed source serves only the units that end before it
        return None
    site.linked.add(i)
    if first + link.layers > len(graph.layers) - 1:
        message = (
            f"`{site.name}` has only {len(graph.layers) - 1 - first} layers to copy before the head, not {link.layers}"
        )
        site.found.append(spec.error("SPC421", message, "ema_links", i, label="too many layers"))
        return None
    owner = {layer: block.index for block in site.draft.blocks for layer in block.layers}
    blocks = {owner.get(layer.name) for layer in graph.layers[first : first + link.layers]}
    if len(blocks) > 1:
        message = f"the {link.layers} layers after `{site.name}` lie in more than one block"
        site.found.append(spec.error("SPC421", message, "ema_links", i, label="crosses a cut"))
        return None
    copied = graph.layers[first : first + link.layers]
    read = {name for layer in copied for node in layer.nodes for name in node.inputs}
    loose = [layer.name for layer in copied[:-1] if layer.nodes[-1].name not in read]
    if loose:
        message = f"the {link.layers} layers after `{site.name}` are not one piece: nobody in them reads `{loose[0]}`"
        site.found.append(spec.error("SPC421", message, "ema_links", i, label="a loose end"))
        return None
    want, have = graph.part(first, first).input, site.end.output
    if want != have:
        message = f"`{graph.layers[first].name}` takes {show(want)}, but `{site.name}` has features of {show(have)}"
        site.found.append(spec.error("SPC422", message, "ema_links", i, "from", label="another shape"))
        return None
    return first


def _link(site: Site, number: int, link: EmaLink, first: int) -> tuple[LinkPlan, Graph]:
    graph = site.draft.graph
    copy = graph.copy_of(first, link.layers)
    names = (node.name for layer in graph.layers[first : first + link.layers] for node in layer.nodes)
    full = {node.name: name for node, name in zip(copy.nodes, names, strict=True)}
    tag = str(number + 1) if number else ""
    ema = site.add_network(f"ema{tag}", copy, None)
    bias = None if link.bias == "none" else site.add_network(f"bias{tag}", copy, f"{site.name}.bias{tag}")
    sources = {f"{ema}.{n.name}.{p}": f"{full[n.name]}.{p}" for n in copy.nodes for p in n.parameters}
    if link.average_buffers:  # the counters of batch norms are whole numbers and stay their own
        sources |= {f"{ema}.{n.name}.{p}": f"{full[n.name]}.{p}" for n in copy.nodes for p, s in n.buffers.items() if s}
    block = next((b.name for b in site.draft.blocks if graph.layers[first].name in b.layers), "")
    return LinkPlan(ema, bias, link.bias, link.momentum, link.init, block, sources), copy


def check_links(draft: Draft, sites: list[Site]) -> Iterator[Diagnostic]:
    """Every link serves some unit."""
    spec = draft.spec
    for i, link in enumerate(spec.config.ema_links):
        if any(i in site.linked for site in sites):
            continue
        ends = [s.end.layers[-1] for s in sites if not s.last and (link.levels is None or s.level.name in link.levels)]
        if ends:
            message = f"no unit ends before `{link.source}`: an EMA link copies a later layer"
            help = (f"the first unit ends with `{ends[0]}`; `from: next` takes the layer after each unit",)
            yield spec.error("SPC424", message, "ema_links", i, "from", label="too early", help=help)
        else:
            message = "this EMA link has no unit: the last block has no auxiliary network"
            yield spec.warning("SPC425", message, "ema_links", i, label="without effect", secondary=_why_no_unit(draft))


def _why_no_unit(draft: Draft) -> tuple[Label, ...]:
    return draft.spec.beside(f"{len(draft.blocks)} block{'s' * (len(draft.blocks) > 1)}", "split")
