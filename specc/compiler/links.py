"""EMA links: which layers a unit's auxiliary network copies, and why it sometimes cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..diagnostics import Diagnostic
from ..graph.graph import BackboneGraph, Graph, Layer
from ..graph.layout import Places
from ..graph.ops import show
from ..plan import LinkPlan
from ..spec.sections.levels import EmaLink
from .cuts import taken_apart
from .draft import Draft
from .partition import unknown_layer
from .site import Site


def form_links(site: Site) -> tuple[tuple[LinkPlan, ...], tuple[int, ...], tuple[Places, ...]]:
    """The unit's EMA links, the shape of what comes out of them, and where the positions of each one's stand."""
    links: list[LinkPlan] = []
    places: list[Places] = []
    shapes: list[tuple[int, tuple[int, ...]]] = []
    for i, link in enumerate(site.draft.spec.config.ema_links):
        if link.levels is not None and site.level.name not in link.levels:
            continue
        run = _found(site, i, link)
        if run is None:
            continue
        plan, graph = _link(site, len(links), link, run)
        links.append(plan)
        start = site.draft.graph.layouts[site.reads.nodes[-1].name]
        places.append(run.graph.places_through(run.first, run.count, start))
        shapes.append((i, graph.shape))
    for i, shape in shapes[1:]:
        if shape != shapes[0][1]:
            message = f"the links of `{site.name}` give {show(shapes[0][1])} and {show(shape)}, which cannot be added"
            site.found.append(site.draft.spec.error("SPC423", message, "ema_links", i, label="another shape"))
    return tuple(links), shapes[0][1] if shapes else site.reads.shape, tuple(places)


def _found(site: Site, i: int, link: EmaLink) -> Run | None:
    """The layers to copy; None where there are none, with a diagnostic unless the unit ends too late for them."""
    graph, end = site.draft.graph, site.draft.graph.index[site.end.layers[-1]]
    if link.source != "next" and link.source not in graph.index:
        site.linked.add(i)
        site.found.append(unknown_layer(site.draft, link.source, ["next", *graph.index], "ema_links", i, "from"))
        return None
    if link.source != "next" and graph.index[link.source] <= end:
        return None
    site.linked.add(i)
    if link.source == "next":
        runs = _next(site, i, link, end)
    else:  # from the layer that is named on, as many as the link says and the block has
        named = graph.index[link.source]
        room = _room(site, named)
        runs = iter([Run(site, i, graph, named, min(link.layers, room), room)])
    first = next(runs)
    chosen = next((run for run in (first, *runs) if not run.wrong()), None)
    site.found += first.wrong() if chosen is None else chosen.remarks()
    return chosen


def _next(site: Site, i: int, link: EmaLink, end: int) -> Iterator[Run]:
    """Runs of layers of the next block, the shortest of at least as many as the link says first.

    They begin with layers that read the features or the images alone; the layer after the unit is looked at anyway.
    Where it reads more than the features, as a cell of two inputs does, a part of it may do.
    """
    graph, after, most = site.draft.graph, end + 1, _room(site, end + 1)
    yield from _runs(site, i, graph, range(after, after + most), min(link.layers, most))
    if most and len(graph.read_from_outside(after, 1)) > 1:
        parts = taken_apart(graph, after)
        yield from _runs(site, i, parts, range(after, after + 1 + len(parts.layers) - len(graph.layers)), 1)


def _runs(site: Site, i: int, graph: BackboneGraph, among: range, least: int) -> Iterator[Run]:
    features = {site.reads.nodes[-1].name}
    firsts = [n for n in among if n == among.start or features.issuperset(graph.read_from_outside(n, 1))]
    for count in range(least, len(among) + 1):
        yield from (
            Run(site, i, graph, n, count, among.stop - n) for n in firsts or [among.start] if n + count <= among.stop
        )


def _room(site: Site, first: int) -> int:
    """Layers from the first one to the end of its block, the backbone's head left out."""
    graph = site.draft.graph
    block = next(block for block in site.draft.blocks if graph.layers[first].name in block.layers)
    return max(min(graph.index[block.layers[-1]], len(graph.layers) - 2) + 1 - first, 0)


@dataclass(frozen=True, slots=True)
class Run:
    """Successive layers that a link may copy: they read one value and hand on one, and have something to average."""

    site: Site
    i: int  # of the link
    graph: BackboneGraph  # the backbone, or with the layer after the unit taken apart
    first: int
    count: int
    room: int  # layers from the first one on that it might have

    @property
    def link(self) -> EmaLink:
        """The link."""
        return self.site.draft.spec.config.ema_links[self.i]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What would be copied."""
        return self.graph.layers[self.first : self.first + self.count]

    @property
    def after(self) -> int:
        """The layer after the unit."""
        return self.site.draft.graph.index[self.site.end.layers[-1]] + 1

    @property
    def apart(self) -> bool:
        """Whether it is a part of a layer."""
        return self.graph is not self.site.draft.graph

    @property
    def block(self) -> str:
        """The block that it copies from."""
        name = self.site.draft.graph.layers[self.after].name if self.apart else self.layers[0].name
        return next((block.name for block in self.site.draft.blocks if name in block.layers), "")

    def wrong(self) -> list[Diagnostic]:
        """Why it cannot be copied, the first reason only."""
        reasons = (self._missing, self._loose, self._misread, self._untrained)
        return next(([found] for reason in reasons if (found := reason()) is not None), [])

    def _error(self, code: str, message: str, *key: str, label: str, help: tuple[str, ...] = ()) -> Diagnostic:
        return self.site.draft.spec.error(code, message, "ema_links", self.i, *key, label=label, help=help)

    def _missing(self) -> Diagnostic | None:
        if self.count:
            return None
        message = f"`{self.site.name}` has no layer to copy before the head of the network"
        help = ("move the last cut to before a layer with parameters, or leave it out",)
        return self._error("SPC421", message, label="nothing to copy", help=help)

    def _loose(self) -> Diagnostic | None:
        """It hands on one value: that of its last layer."""
        read = {name for layer in self.layers for node in layer.nodes for name in node.inputs}
        loose = [layer.name for layer in self.layers[:-1] if layer.nodes[-1].name not in read]
        if not loose:
            return None
        message = f"{_listed(self.layers)} are not one piece: nobody in them reads `{loose[0]}`"
        return self._error("SPC421", message, label="a loose end")

    def _misread(self) -> Diagnostic | None:
        """It reads one value, in whose place it will read the unit's features."""
        graph, name, features = self.graph, self.layers[0].name, self.site.reads.shape
        entries = graph.read_from_outside(self.first, self.count)
        if not entries:
            message = (
                f"`{name}` reads the network's input alone: there is no place for the features of `{self.site.name}`"
            )
            return self._error("SPC421", message, "from", label="reads no features")
        if len(entries) > 1:
            read = _listed(layer for layer in graph.layers for node in layer.nodes if node.name in entries)
            message = f"{_listed(self.layers)} read{'s' * (self.count == 1)} {len(entries)} values, those of {read}"
            return self._error("SPC421", message, label="the features are one")
        want, own = graph.shapes[entries[0]], self.site.reads.nodes[-1].name
        if want != features or (self.link.source == "next" and entries != (own,)):
            message = f"`{name}` takes {show(want)}, but `{self.site.name}` has features of {show(features)}"
            return self._error("SPC422", message, "from", label="another shape")
        return None

    def _untrained(self) -> Diagnostic | None:
        if any(layer.weighted for layer in self.layers):
            return None
        later = self.graph.layers[self.first : self.first + self.room]
        reach = next((n for n, layer in enumerate(later, 1) if layer.weighted), None)
        help = ("`from: next` goes on to the next layer with parameters of its block",)
        if self.link.source == "next":
            help = ("cut where the next block begins with something to train",)
        elif reach is not None:
            help = (f"with `layers: {reach}` the copy reaches `{later[reach - 1].name}`, which has some",)
        message = f"there are no parameters in {_listed(self.layers)}: there is nothing to average"
        return self._error("SPC426", message, "from", label="no parameters", help=help)

    def remarks(self) -> Iterator[Diagnostic]:
        """A note where other layers are copied than so many from the one after the unit on."""
        spec, copied = self.site.draft.spec, f"`{self.site.name}` copies {_listed(self.layers)}"
        if not any(layer.trained for layer in self.layers):
            beside = spec.beside("layers are frozen", "train", "freeze")
            message = f"{copied}, frozen: the average approaches what never changes"
            yield spec.note("SPC435", message, "ema_links", self.i, label="copies frozen layers", secondary=beside)
        if self.count < self.link.layers:
            message = f"{copied}: there is no more before the next cut or the head"
            yield spec.note("SPC427", message, "ema_links", self.i, "layers", label=f"only {self.count}")
        elif self.count > self.link.layers or (self.link.source == "next" and (self.first != self.after or self.apart)):
            message = f"{copied}, the shortest piece that begins with the features and has something to average"
            yield spec.note("SPC428", message, "ema_links", self.i, "from", label="not the very next alone")


def _listed(layers: Iterable[Layer]) -> str:
    names = [f"`{layer.name}`" for layer in layers]
    shown = [*names[:2], f"{len(names) - 3} more", names[-1]] if len(names) > 4 else names
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _link(site: Site, number: int, link: EmaLink, run: Run) -> tuple[LinkPlan, Graph]:
    copy = run.graph.copy_of(run.first, run.count)
    names = (node.name for layer in run.layers for node in layer.nodes)
    full = {node.name: name for node, name in zip(copy.nodes, names, strict=True)}
    tag = str(number + 1) if number else ""
    ema = site.add_network(f"ema{tag}", copy, None)
    bias = None if link.bias == "none" else site.add_network(f"bias{tag}", copy, f"{site.name}.bias{tag}")
    sources = {f"{ema}.{n.name}.{p}": f"{full[n.name]}.{p}" for n in copy.nodes for p in n.parameters}
    if link.average_buffers:  # the counters of batch norms are whole numbers and stay their own
        sources |= {f"{ema}.{n.name}.{p}": f"{full[n.name]}.{p}" for n in copy.nodes for p, s in n.buffers.items() if s}
    return LinkPlan(ema, bias, link.bias, link.momentum, link.init, run.block, sources), copy


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
            beside = spec.beside(f"{len(draft.blocks)} block{'s' * (len(draft.blocks) > 1)}", "split")
            yield spec.warning("SPC425", message, "ema_links", i, label="without effect", secondary=beside)
