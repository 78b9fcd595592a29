"""Whether the backbone is cut where it is worth to: at the ends of modules, into units that have something to learn."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...plan import Unit
from ..draft import Draft

LITTLE = 0.01  # of the network's parameters and of its FLOPs: what has less of both is hardly a unit,
PART = 0.05  # if that is less than so much of an equal share too: of a hundred units each has a hundredth


def check_places(draft: Draft) -> Draft:
    """Cuts that were chosen because there are no better places, and units that hardly train anything."""
    return draft.updated(*_parting(draft), *_small(draft))


def _parting(draft: Draft) -> Iterator[Diagnostic]:
    """A note where so many blocks need cuts that people would not make."""
    spec, graph, count = draft.spec, draft.graph, len(draft.blocks)
    whole = graph.tiers[0]
    if spec.config.split.blocks is None or count <= len(whole) + 1:
        return
    ends = [block.layers[-1] for block in draft.blocks[:-1]]
    reasons = [reason for end in ends if (reason := _reason(draft, end))]
    shown = "; ".join(reasons[:2]) + (f"; and {len(reasons) - 2} more" if len(reasons) > 2 else "")
    places = f"{len(whole)} place{'s' * (len(whole) != 1)}"
    message = f"of {count - 1} cuts {len(reasons)} lie inside of something: {shown}"
    help = (f"`blocks: {len(whole) + 1}` is cut at the ends of layers with their activations alone",)
    yield spec.note("SPC436", message, "split", "blocks", label=f"there are {places} for better ones", help=help)


def _reason(draft: Draft, end: str) -> str:
    """What a cut is inside of; nothing where it is not."""
    graph = draft.graph
    if end in graph.parted:
        return f"after `{end}`, before `{graph.parted[end]}`, which belongs to it"
    count = len(graph.alive_after(graph.index[end]))
    return "" if end in graph.narrow_cuts else f"after `{end}`, where {count} tensors cross"


def _small(draft: Draft) -> Iterator[Diagnostic]:
    """Units with next to nothing of the network: one warning for all that the spec cuts out at one place.

    The last one needs no auxiliary network, so it may be as small as it likes.
    """
    count = len(draft.blocks)
    little = min(LITTLE, PART / count)
    alike: dict[tuple[str | int, ...], list[Unit]] = {}
    for unit in draft.units if count > 1 else ():
        parameters, flops = _shares(draft, unit)
        if unit.end < count - 1 and 0 < parameters < little and flops < little:
            alike.setdefault(_cut(draft, unit), []).append(unit)
    for at, units in alike.items():
        yield _too_small(draft, at, units)


def _too_small(draft: Draft, at: tuple[str | int, ...], units: list[Unit]) -> Diagnostic:
    first, *others = units
    names = [f"`{layer}`" for block in draft.blocks[first.start : first.end + 1] for layer in block.layers]
    parameters, flops = (f"{share:.2%}" for share in _shares(draft, first))
    layers = names[0] + (f" to {names[-1]}" if len(names) > 1 else "")
    message = f"`{first.name}` ({layers}) has {parameters} of the network's parameters and {flops} of its FLOPs"
    more = f"`{others[0].name}`" if len(others) == 1 else f"{len(others)} more units"
    also = (f"likewise {more}",) if others else ()
    help = (*also, "cut elsewhere, or into equal shares: `split: {blocks: K, by: flops}`")
    return draft.spec.warning("SPC437", message, *at, label="hardly a unit", help=help)


def _shares(draft: Draft, unit: Unit) -> tuple[float, float]:
    """A unit's shares of the network's parameters and FLOPs."""
    parts = [draft.networks[block.name].graph for block in draft.blocks]
    own = parts[unit.start : unit.end + 1]
    return (
        sum(part.parameter_count for part in own) / max(sum(part.parameter_count for part in parts), 1),
        sum(part.flops for part in own) / max(sum(part.flops for part in parts), 1),
    )


def _cut(draft: Draft, unit: Unit) -> tuple[str | int, ...]:
    """Where the spec says that the unit ends."""
    after = [draft.graph.aliases.get(name, name) for name in draft.spec.config.split.after or ()]
    end = draft.blocks[unit.end].layers[-1]
    if end in after:
        return "split", "after", after.index(end)
    return ("split", "blocks") if ("split", "blocks") in draft.spec.tree.values else ("split",)
