"""Check 5: the local units of every level, with their auxiliary networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..backbone.graph import Graph
from ..backbone.ops import ShapeError, show
from ..diagnostics import Diagnostic, Label, did_you_mean
from ..heads import Context, Head, HeadError, Ramp
from ..plan import Block, HeadPlan, LinkPlan, Network, PatchGrid, Unit
from ..spec.models import Auxiliary, EmaLink, Level, merge
from .draft import Draft


@dataclass
class _Site:
    """The place of one unit while it is built."""

    draft: Draft
    number: int  # of the level
    level: Level
    end: Block
    start: int
    count: int  # blocks in all
    networks: dict[str, Network] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    linked: set[int] = field(default_factory=set)  # the EMA links that the unit was meant to have

    @property
    def name(self) -> str:
        return f"unit{self.end.index}.{self.level.name}"

    @property
    def last(self) -> bool:
        return self.end.index == self.count - 1

    @property
    def weight(self) -> float:
        own = self.level.override(self.end.index)
        return self.level.weight if own is None or own[1].weight is None else own[1].weight

    def add_network(self, part: str, graph: Graph, group: str | None) -> str:
        name = f"{self.name}.{part}"
        self.networks[name] = Network(name, name + ".", graph, group)
        return name


def form_units(draft: Draft) -> Draft:
    """Build every level's units: heads and EMA links at the end of each window, the backbone's own head at the last."""
    found = list(_check_levels(draft))
    complete = not any(d.is_error for d in found)
    networks, units, sites = dict(draft.networks), [], list(_sites(draft))
    for site in sites:
        unit = _unit(site)
        found += site.found
        networks |= site.networks
        units.append(unit)
    if complete:
        found += [*_check_supervision(draft, sites), *_check_links(draft, sites)]
    found = list(dict.fromkeys(found))
    return draft.having(*found, networks=networks, units=tuple(unit for unit in units if unit.heads))


def _sites(draft: Draft) -> Iterator[_Site]:
    count = len(draft.blocks)
    for number, level in enumerate(draft.spec.config.levels):
        for end in draft.blocks[level.window - 1 :]:
            if end.index not in level.skip:
                yield _Site(draft, number, level, end, end.index - level.window + 1, count)


def _check_levels(draft: Draft) -> Iterator[Diagnostic]:
    spec, count = draft.spec, len(draft.blocks)
    option = "blocks" if spec.config.split.after is None else "after"
    cut = spec.beside(f"{count} block{'s' * (count > 1)}", "split", option)
    for i, level in enumerate(spec.config.levels):
        at = ("levels", i)
        if level.window > count:
            message = f"a window of {level.window} blocks does not fit into {count}"
            yield spec.error("SPC405", message, *at, "window", label=f"at most {count}", secondary=cut)
            continue
        for j, unit in enumerate(level.skip):
            if unit >= count or unit < level.window - 1:
                yield _no_unit(draft, level, unit, (*at, "skip", j))
        for j, own in enumerate(level.units):
            if own.unit >= count or own.unit < level.window - 1:
                yield _no_unit(draft, level, own.unit, (*at, "units", j, "unit"))


def _no_unit(draft: Draft, level: Level, unit: int, at: tuple[str | int, ...]) -> Diagnostic:
    message = f"the level `{level.name}` has no unit that ends with block {unit}"
    label = f"its units end with blocks {level.window - 1} to {len(draft.blocks) - 1}"
    return draft.spec.error("SPC406", message, *at, label=label)


def _unit(site: _Site) -> Unit:
    if site.last:
        final = HeadPlan("final", "classification", "cross_entropy", "labels", site.weight)
        own = (final,) if site.weight or _keeps_dead(site) else ()
        return Unit(site.name, site.level.name, site.start, site.end.index, site.weight, site.end.output, own)
    links, feature = _links(site)
    heads = tuple(_heads(site, feature))
    if not heads:  # nothing to train here, so nothing is built
        site.networks.clear()
    return Unit(site.name, site.level.name, site.start, site.end.index, site.weight, feature, heads, links)


def _keeps_dead(site: _Site) -> bool:
    return site.draft.spec.config.train.zero_weight_heads == "keep"


def auxiliary_of(site: _Site) -> Auxiliary:
    """The spec's auxiliary network with the level's and the unit's own changes."""
    own = site.level.override(site.end.index)
    return merge(site.draft.spec.config.auxiliary, site.level.auxiliary, own[1].auxiliary if own else None)


def _heads(site: _Site, feature: tuple[int, ...]) -> Iterator[HeadPlan]:
    draft = site.draft
    assert draft.info.shape is not None
    assert draft.info.classes is not None
    last_layer = draft.graph.index[site.end.layers[-1]]
    context = Context(feature, draft.info.shape, draft.info.classes, draft.graph, last_layer)
    for key, head in auxiliary_of(site).heads().items():
        weight = _weight(site, key, head)
        if weight is None or (weight == 0 and not _keeps_dead(site)):
            continue
        try:
            yield _head(site, key, head, head.graph(context), weight)
        except ShapeError as error:
            site.found.append(_impossible(site, key, head, feature, error))


def _head(site: _Site, key: str, head: Head, graph: Graph, weight: float) -> HeadPlan:
    patches, group = head.patches, f"{site.name}.{head.key}"
    if patches is None:
        names = [site.add_network(head.key, graph, group)]
        return HeadPlan(head.key, head.term, head.loss_name(), head.target, weight, tuple(names))
    count = patches.grid[0] * patches.grid[1]
    if patches.weights == "shared":
        names = [site.add_network(head.key, graph, group)] * count
    else:
        names = [site.add_network(f"{head.key}.patch{p}", graph, group) for p in range(count)]
    grid = PatchGrid((patches.grid[0], patches.grid[1]), patches.fuse, patches.execution)
    return HeadPlan(head.key, head.term, head.loss_name(), head.target, weight, tuple(names), grid)


def head_path(site: _Site, key: str) -> tuple[str | int, ...]:
    """Where the spec speaks of a head: in the unit's, the level's or the common auxiliary network."""
    level = ("levels", site.number)
    own = site.level.override(site.end.index)
    places: list[tuple[str | int, ...]] = [(*level, "units", own[0], "auxiliary", key)] if own else []
    places += [(*level, "auxiliary", key), ("auxiliary", key)]
    return next((p for p in places if p in site.draft.spec.tree.values), ("auxiliary", key))


def _impossible(site: _Site, key: str, head: Head, feature: tuple[int, ...], error: ShapeError) -> Diagnostic:
    """Points at the part of the head that is to blame, and at the cut that gives it these features."""
    spec = site.draft.spec
    code, inner = (error.code, error.path) if isinstance(error, HeadError) else ("SPC410", ())
    if inner[:1] == ("patches",) or not inner:
        message = f"`{key}` cannot stand on the {show(feature)} features of `{site.name}`: {error}"
    else:
        message = f"`{key}` of `{site.name}`: {error}"
    path = head_path(site, key)
    at = next((p for i in range(len(inner), -1, -1) if (p := (*path, *inner[:i])) in spec.tree.values), path)
    return spec.error(code, message, *at, label="does not fit", key=at == path, secondary=_cut(site))


def _cut(site: _Site) -> tuple[Label, ...]:
    """Where the spec decides which features a unit has."""
    spec, index = site.draft.spec, site.end.index
    named = ("split", "after", index)
    text = f"the features after `{site.end.layers[-1]}`"
    return spec.beside(text, *named) or spec.beside(text, "split", "blocks") or spec.beside(text, "split")


def _weight(site: _Site, key: str, head: Head) -> float | None:
    """The factor on a head's loss, level included; None after an error."""
    index, count = site.end.index - site.level.window + 1, site.count - site.level.window
    own = head.weight
    if isinstance(own, list):
        if len(own) != count:
            message = (
                f"`{key}.weight` lists {len(own)} numbers, the level `{site.level.name}` has {count} units with heads"
            )
            label = f"expected {count}, one a unit (the last unit has the backbone's own head)"
            at, spec = (*head_path(site, key), "weight"), site.draft.spec
            beside = spec.beside("in units of this window", "levels", site.number, "window")
            site.found.append(spec.error("SPC411", message, *at, label=label, secondary=beside))
            return None
        own = own[index]
    factor = own.at(index, count) if isinstance(own, Ramp) else own
    if factor < 0:
        site.found.append(_negative(site, key, factor))
    return site.weight * factor


def _negative(site: _Site, key: str, factor: float) -> Diagnostic:
    message = f"the weight of `{key}` is negative ({factor:g}) at `{site.name}`: it maximises its loss"
    return site.draft.spec.warning("SPC412", message, *head_path(site, key), "weight", label="negative")


def _links(site: _Site) -> tuple[tuple[LinkPlan, ...], tuple[int, ...]]:
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


def _source(site: _Site, i: int, link: EmaLink) -> int | None:
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
    blocks = {owner[layer.name] for layer in graph.layers[first : first + link.layers]}
    if len(blocks) > 1:
        message = f"the {link.layers} layers after `{site.name}` lie in more than one block"
        site.found.append(spec.error("SPC421", message, "ema_links", i, label="crosses a cut"))
        return None
    want, have = graph.part(first, first).input, site.end.output
    if want != have:
        message = f"`{graph.layers[first].name}` takes {show(want)}, but `{site.name}` has features of {show(have)}"
        site.found.append(spec.error("SPC422", message, "ema_links", i, "from", label="another shape"))
        return None
    return first


def _link(site: _Site, number: int, link: EmaLink, first: int) -> tuple[LinkPlan, Graph]:
    graph = site.draft.graph
    copy = graph.copy_of(first, link.layers)
    names = (node.name for layer in graph.layers[first : first + link.layers] for node in layer.nodes)
    full = {node.name: name for node, name in zip(copy.nodes, names, strict=True)}
    tag = str(number + 1) if number else ""
    ema = site.add_network(f"ema{tag}", copy, None)
    bias = site.add_network(f"bias{tag}", copy, f"{site.name}.bias{tag}") if link.bias == "branch" else None
    sources = {f"{ema}.{n.name}.{p}": f"{full[n.name]}.{p}" for n in copy.nodes for p in n.parameters}
    block = next(b.name for b in site.draft.blocks if graph.layers[first].name in b.layers)
    mode = "branch" if bias else "none"
    return LinkPlan(ema, bias, mode, link.momentum, link.init, block, sources), copy  # type: ignore[arg-type]


def _check_links(draft: Draft, sites: list[_Site]) -> Iterator[Diagnostic]:
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


def _check_supervision(draft: Draft, sites: list[_Site]) -> Iterator[Diagnostic]:
    """Every block must lie in the window of a unit that has a loss; weights of zero everywhere are worth a word."""
    spec = draft.spec
    supervised = [site for site in sites if site.last or auxiliary_of(site).heads()]
    for block in draft.blocks:
        if not any(site.start <= block.index <= site.end.index for site in supervised):
            message = f"no unit trains block {block.index} (`{block.layers[0]}` to `{block.layers[-1]}`)"
            help = ("give its unit a head under `auxiliary`, or a level with a wider window",)
            where = next((w for w in ("auxiliary", "levels", "split") if (w,) in spec.tree.values), "backbone")
            yield spec.error("SPC414", message, where, label="leaves a block untrained", help=help, key=True)
    for site in supervised:
        if (
            not site.last
            and not any(d.is_error for d in site.found)
            and not any(_weight(site, k, h) for k, h in auxiliary_of(site).heads().items())
        ):
            key = next(iter(auxiliary_of(site).heads()))
            message = f"all weights of `{site.name}` are zero: it trains nothing"
            yield spec.warning("SPC413", message, *head_path(site, key), "weight", label="zero at this unit")
