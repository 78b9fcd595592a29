"""Check 6: whoever normalises by statistics of a batch needs more than one value for them."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic, Label
from ...graph.graph import Node
from ...graph.ops import BatchNorm, GroupNorm, numel
from ..draft import Draft


def check_statistics(draft: Draft) -> Draft:
    """Torch refuses to normalise one value: one image of which one pixel is left."""
    found = list(_alone(draft))
    return draft.updated(_one_value(draft, found)) if found else draft


def _alone(draft: Draft) -> Iterator[tuple[str, Node]]:
    """The nodes that get one value a channel, with their names in full."""
    training, testing = _fewest(draft)
    if min(training, testing) > 1:
        return
    heads = set(_evaluated(draft))
    for network in draft.networks.values():
        tested = not network.prefix or network.name in heads
        for node in network.graph.simple:
            if _values(node, training, testing if tested else training) == 1:
                yield network.prefix + node.name, node


def _evaluated(draft: Draft) -> Iterator[str]:
    """The networks beside the backbone that are evaluated: what stands between a unit's features and its answers."""
    for unit in draft.units if draft.spec.config.train.evaluate_units else ():
        for link in unit.links if unit.telling else ():
            yield from (name for name in (link.ema, link.bias) if name)
        for head in unit.telling:
            yield from head.networks


def _fewest(draft: Draft) -> tuple[int, int]:
    """Images of the smallest batch of the training, which leaves out an incomplete last one, and of the evaluation."""
    config, data = draft.spec.config, draft.info
    batch = config.data.batch_size
    together = config.together
    last = min(size % together or together for size in (data.test_size, data.validation_size))
    return min(batch, data.train_size or batch) // draft.slices * config.views, last


def _values(node: Node, training: int, testing: int) -> int:
    """How many numbers its statistics are of; batch norm has learnt them by the time it is evaluated."""
    if isinstance(node.op, BatchNorm):
        return training * numel(node.in_shapes[0][1:])
    if isinstance(node.op, GroupNorm):
        return min(training, testing) * numel(node.in_shapes[0]) // node.op.groups
    return 0


def _one_value(draft: Draft, found: list[tuple[str, Node]]) -> Diagnostic:
    spec, data = draft.spec, draft.info
    one, many = spec.config.learns.sample, spec.config.samples
    (name, node), more = found[0], f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    kind = "batch norm" if isinstance(node.op, BatchNorm) else "group norm"
    message = f"the {kind} `{name}`{more} gets one value a channel: one {one}, of which one position is left"
    few = 0 < data.train_size < spec.config.data.batch_size
    help = (
        f"more {many} a batch (`data.batch_size`), larger {many}, or a backbone that shrinks them less",
        f"`layer_norm` normalises each {one} by itself",
    )
    return spec.error("SPC605", message, "data", "samples" if few else "batch_size", label="too few for statistics",
                      help=help, secondary=tuple(_place(draft, name)))  # fmt: skip


def _place(draft: Draft, name: str) -> Iterator[Label]:
    """Where the spec speaks of the layer."""
    layers = (layer for layer in draft.graph.layers if any(name == n.name for n in layer.nodes))
    for layer in layers:
        yield from draft.spec.beside("normalises by the batch", *layer.path)
