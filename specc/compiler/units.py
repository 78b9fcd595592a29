"""Check 5: the local units of every level, with their auxiliary networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..diagnostics import Diagnostic, Label, Span
from ..graph.graph import Graph
from ..graph.layout import Layout, Places
from ..graph.ops import ShapeError, show
from ..learning.heads import Context, Head, HeadError
from ..learning.heads.errors import LossError, SmoothingError
from ..learning.losses import LOSSES, loss_fault
from ..plan import HeadPlan, PatchGrid, Unit
from ..tasks.datasets import ResolvedData
from ..tasks.registry import TASKS
from ..tasks.task import Task
from .draft import Draft
from .links import check_links, form_links
from .partition import covered
from .site import Site, UnitPosition

Graphs = tuple[Graph, ...]  # of a head, or of its patches
MOST_OPS = 50_000  # of all units' auxiliary networks: a plan of so many takes seconds to make and to look at


def form_units(draft: Draft) -> Draft:
    """Build every level's units: heads and EMA links at the end of each window, the backbone's own head at the last."""
    found = list(_check_levels(draft))
    complete, ops = not any(d.is_error for d in found), 0
    networks, units, sites = dict(draft.networks), [], list(sites_at(draft))
    for site in sites:
        unit = build_unit(site)
        networks |= site.networks
        units.append(unit)
        ops += sum(len(network.graph.nodes) for network in site.networks.values())
        if ops > MOST_OPS:
            found.append(_too_many(draft))
            complete = False
            break
    found += _merged((site.name, diagnostic) for site in sites for diagnostic in site.found)
    if complete:
        found += [*_check_supervision(draft, sites), *check_links(draft, sites)]
    return draft.updated(*found, networks=networks, units=tuple(unit for unit in units if unit.heads))


def _too_many(draft: Draft) -> Diagnostic:
    message = f"the auxiliary networks of all units together have more than {MOST_OPS:,} ops"
    where = "auxiliary" if ("auxiliary",) in draft.spec.tree.values else "split"
    help = ("fewer units, or smaller heads",)
    return draft.spec.error("SPC206", message, where, label="too many", key=True, help=help)


def _merged(found: Iterable[tuple[str, Diagnostic]]) -> Iterator[Diagnostic]:
    """One diagnostic for what is wrong with several units for the same reason: of the first, naming the others."""
    alike: dict[tuple[str, Span | None], list[tuple[str, Diagnostic]]] = {}
    for name, diagnostic in found:
        alike.setdefault((diagnostic.code, diagnostic.span), []).append((name, diagnostic))
    for (_, first), *others in alike.values():
        names = list(dict.fromkeys(f"`{name}`" for name, _ in others))
        more = f" and {len(names) - 3} more" if len(names) > 4 else ""
        help = (f"likewise at {', '.join(names[:3] if more else names)}{more}",) if names else ()
        yield replace(first, help=(*help, *first.help))


def sites_at(draft: Draft, first: int = 0, count: int | None = None) -> Iterator[Site]:
    """The places of all units; or of a few blocks out of `count`, of which the first has the number `first`."""
    for number, level in enumerate(draft.spec.config.levels):
        for end in draft.blocks[level.first_end :]:
            position = UnitPosition(level, first + end.index, len(draft.blocks) if count is None else count)
            if position.exists:
                yield Site(draft, number, position, end, level.start(end.index))


def _check_levels(draft: Draft) -> Iterator[Diagnostic]:
    spec, count = draft.spec, len(draft.blocks)
    option = "blocks" if spec.config.split.after is None else "after"
    cut = spec.beside(f"{count} block{'s' * (count > 1)}", "split", option)
    for i, level in enumerate(spec.config.levels):
        at = ("levels", i)
        if level.first_end >= count:
            message = f"a window of {level.window} blocks does not fit into {count}"
            yield spec.error("SPC405", message, *at, "window", label=f"at most {count}", secondary=cut,
                             help=("more blocks (`split`), or a smaller window",))  # fmt: skip
            continue
        for place, unit in level.named():
            if unit >= count or unit < level.first_end:
                message = f"the level `{level.name}` has no unit that ends with block {unit}"
                label = f"its units end with blocks {level.first_end} to {count - 1}"
                yield spec.error("SPC406", message, *at, *place, label=label)


def build_unit(site: Site) -> Unit:
    """The unit of a place, its networks registered there."""
    if site.last:
        task, weight = TASKS[site.draft.spec.config.task], site.position.weight
        final = HeadPlan("final", task.term, task.loss, weight, smoothing=_smoothing(site, task.loss))
        own = (final,) if weight or _keeps_dead(site) else ()
        return Unit(site.name, site.level.name, site.start, site.end.index, weight, site.end.output, own)
    links, feature, through = form_links(site)
    heads = tuple(_heads(site, feature, through))
    if not heads:  # nothing to train here, so nothing is built
        site.networks.clear()
    place = site.start, site.end.index
    return Unit(site.name, site.level.name, *place, site.position.weight, feature, heads, links, site.skip)


def _keeps_dead(site: Site) -> bool:
    return site.draft.spec.config.train.zero_weight_heads == "keep"


def _heads(site: Site, feature: tuple[int, ...], through: tuple[Places, ...]) -> Iterator[HeadPlan]:
    draft = site.draft
    last_layer = draft.graph.index[site.reads.name]
    place = site.position.index, site.position.with_heads
    task = TASKS[draft.spec.config.task]
    pixels = task.kind == "map"
    context = Context(feature, draft.info.shape, draft.info.classes, draft.graph, last_layer, *place, through, pixels)
    terms: set[str] = set()
    for key, head in site.heads.items():
        weight = _weight(site, key, head)
        if weight is None or (weight == 0 and not _keeps_dead(site)):
            continue
        try:
            own = task.term if head.loss_name(task) == task.loss else head.term
            term = head.key if own in terms else own  # two losses of a kind keep their own names
            terms.add(term)
            possible, graphs = _built(site, key, head, context)
            _check_loss(draft.info, task, possible, graphs, context)
            yield _head(site, term, possible, graphs, weight, context)
        except ShapeError as error:
            site.found.append(_impossible(site, key, head, feature, error))


def _built(site: Site, key: str, head: Head, context: Context) -> tuple[Head, Graphs]:
    """The head and its graphs, without patches where they are impossible and the spec says that this is right."""
    try:
        return head, head.graphs(context)
    except ShapeError as error:
        if head.patches is None or head.patches.otherwise == "error":
            raise
        whole = head.model_copy(update={"patches": None})
        graphs = whole.graphs(context)
        message, path = f"`{key}` runs without patches at `{site.name}`: {error}", (*head_path(site, key), "patches")
        found = site.draft.spec.note("SPC418", message, *path, label="not at every unit", secondary=_cut(site))
        site.found.append(found)
        return whole, graphs


def _check_loss(data: ResolvedData, task: Task, head: Head, graphs: Graphs, context: Context) -> None:
    """Raises where the head's loss compares with something else than the task has, or not what the head gives."""
    loss = head.loss_name(task)
    if fault := loss_fault(loss):
        raise LossError(f"its loss cannot be used: {fault}")
    if head.label_smoothing and LOSSES[loss].smoothed is None:
        raise SmoothingError(f"its loss `{loss}` has no classes to smooth")
    kind = LOSSES[loss].compares
    if kind != task.kind and (kind or not task.restores):
        raise LossError(f"its loss `{loss}` has nothing to compare with: `{task.name}` knows {task.learns}")
    if loss != task.loss:
        return
    places = (context,) if head.patches is None else context.patches(head.patches)
    for graph, place in zip(graphs, places, strict=True):
        wanted = task.output.shape(replace(data, shape=place.image))
        if graph.shape != wanted:
            raise LossError(f"it gives {show(graph.shape)}, and `{loss}` needs {show(wanted)}: {task.learns}")


def _head(site: Site, term: str, head: Head, graphs: Graphs, weight: float, context: Context) -> HeadPlan:
    patches, group = head.patches, f"{site.name}.{head.key}"
    loss = head.loss_name(TASKS[site.draft.spec.config.task])
    smoothing = _smoothing(site, loss, head)
    if patches is None:
        names = [site.add_network(head.key, graphs[0], group)]
        return HeadPlan(head.key, term, loss, weight, tuple(names), smoothing=smoothing)
    variants: tuple[int, ...] = ()
    if patches.weights == "shared":
        different = list(dict.fromkeys(graphs))
        names = [site.add_network(head.key, different[0], group, tuple(different[1:]))] * len(graphs)
        variants = tuple(map(different.index, graphs))
    else:
        names = [site.add_network(f"{head.key}.patch{p}", graph, group) for p, graph in enumerate(graphs)]
    places = context.places
    tokens = places if isinstance(places, Layout) and len(context.feature) == 2 else None
    grid = PatchGrid((patches.grid[0], patches.grid[1]), patches.fuse, patches.execution, tokens)
    return HeadPlan(head.key, term, loss, weight, tuple(names), grid, variants, smoothing)


def _smoothing(site: Site, loss: str, head: Head | None = None) -> float:
    """The share of a loss's labels that all classes have alike."""
    own = None if head is None else head.label_smoothing
    share = site.draft.spec.config.train.label_smoothing if own is None else own
    return share if share and not loss_fault(loss) and LOSSES[loss].smoothed else 0.0


def head_path(site: Site, key: str) -> tuple[str | int, ...]:
    """Where the spec speaks of a head: in the unit's, the level's or the common auxiliary network."""
    level = ("levels", site.number)
    own = site.level.override(site.position.number)
    places: list[tuple[str | int, ...]] = [(*level, "units", own[0], "auxiliary", key)] if own else []
    places += [(*level, "auxiliary", key), ("auxiliary", key)]
    return next((p for p in places if p in site.draft.spec.tree.values), ("auxiliary", key))


def _impossible(site: Site, key: str, head: Head, feature: tuple[int, ...], error: ShapeError) -> Diagnostic:
    """Points at the part of the head that is to blame, and at the cut that gives it these features."""
    spec = site.draft.spec
    code, inner = (error.code, error.path) if isinstance(error, HeadError) else ("SPC410", ())
    if inner[:1] == ("patches",) or not inner:
        message = f"`{key}` cannot stand on the {show(feature)} features of `{site.name}`: {error}"
    else:
        message = f"`{key}` of `{site.name}`: {error}"
    path = head_path(site, key)
    at = next((p for i in range(len(inner), -1, -1) if (p := (*path, *inner[:i])) in spec.tree.values), path)
    return spec.error(code, message, *at, label="does not fit", key=at == path, secondary=_cut(site), help=error.help)


def _cut(site: Site) -> tuple[Label, ...]:
    """Where the spec decides which features a unit has."""
    spec, index = site.draft.spec, site.end.index
    named = ("split", "after", index)
    text = f"the features after `{site.end.layers[-1]}`" + (f", those of `{site.reads.name}`" if site.skip else "")
    return spec.beside(text, *named) or spec.beside(text, "split", "blocks") or spec.beside(text, "split")


def _weight(site: Site, key: str, head: Head) -> float | None:
    """The factor on a head's loss, level included; None after an error."""
    count, own = site.position.with_heads, head.weight
    at, spec = (*head_path(site, key), "weight"), site.draft.spec
    if isinstance(own, list) and len(own) != count:
        message = f"`{key}.weight` lists {len(own)} numbers, the level `{site.level.name}` has {count} units with heads"
        label = f"expected {count}, one a unit (the last unit has the backbone's own head)"
        beside = spec.beside("in units of this window", "levels", site.number, "window")
        site.found.append(spec.error("SPC411", message, *at, label=label, secondary=beside))
        return None
    factor = head.weight_at(site.position.index, count)
    if factor < 0:
        message = f"the weight of `{key}` is negative ({factor:g}) at `{site.name}`: it maximises its loss"
        site.found.append(spec.warning("SPC412", message, *at, label="negative"))
    return site.position.weight * factor


def _frozen(draft: Draft) -> set[str]:
    """The blocks of which all is frozen, which need no loss."""
    graphs = ((block.name, draft.networks[block.name].graph) for block in draft.blocks)
    return {name for name, graph in graphs if graph.parameters and not graph.trained}


def _check_supervision(draft: Draft, sites: list[Site]) -> Iterator[Diagnostic]:
    """Every block must lie in the window of a unit that has a loss; weights of zero everywhere are worth a word."""
    spec = draft.spec
    weighted = [site for site in sites if site.position.weight or _keeps_dead(site)]
    supervised = [site for site in weighted if site.last or site.heads]
    counts = covered(((site.start, site.end.index) for site in supervised), len(draft.blocks))
    frozen = _frozen(draft)
    alone = [block for block in draft.blocks if not counts[block.index] and block.name not in frozen]
    if alone:
        numbers = ", ".join(str(block.index) for block in alone[:5]) + (", ..." if len(alone) > 5 else "")
        layers = f"`{alone[0].layers[0]}` to `{alone[0].layers[-1]}`"
        blocks = f"block {numbers} ({layers})" if len(alone) == 1 else f"the blocks {numbers} ({layers} and others)"
        help = ["give its unit a head under `auxiliary`, or a level with a wider window"]
        if spec.tree.data.get("auxiliary") == {}:
            help.insert(0, "an empty `auxiliary` means no heads: leave the key out to get a `classifier`")
        where = next((w for w in ("auxiliary", "levels", "split") if (w,) in spec.tree.values), "backbone")
        beside = spec.beside(f"{len(draft.blocks)} blocks", "split") if where != "split" else ()
        yield spec.error("SPC414", f"no unit trains {blocks}", where, label="leaves a block untrained", help=help,
                         secondary=beside, key=True)  # fmt: skip
    for site in supervised:
        if (
            not site.last
            and not any(d.is_error for d in site.found)
            and not any(_weight(site, k, h) for k, h in site.heads.items())
        ):
            key = next(iter(site.heads))
            message = f"all weights of `{site.name}` are zero: it trains nothing"
            yield spec.warning("SPC413", message, *head_path(site, key), "weight", label="zero at this unit")
