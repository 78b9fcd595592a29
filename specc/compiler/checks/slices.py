"""Check 7: what dividing a batch into slices changes, beside the memory."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...graph.ops import BatchNorm
from ...learning.losses import LOSSES
from ..draft import Draft

AT = ("train", "micro_batches")


def check_slices(draft: Draft) -> Draft:
    """Sums over slices are those of the batch, but for what looks at several samples together."""
    if draft.slices == 1:
        return draft.updated(*_idle_order(draft))
    return draft.updated(*_too_many(draft), *_statistics(draft), *_unequal_means(draft))


def _idle_order(draft: Draft) -> Iterator[Diagnostic]:
    order, spec = draft.spec.config.schedule.order, draft.spec
    if order != "auto":
        message = f"`order: {order}` has no effect: the batch is not divided into slices"
        help = ("`train.micro_batches: 4` divides it into four",)
        yield spec.warning("SPC108", message, "schedule", "order", label="ignored", help=help, key=True)


def _too_many(draft: Draft) -> Iterator[Diagnostic]:
    spec, batch = draft.spec, min(draft.spec.config.data.batch_size, draft.info.train_size or 1 << 62)
    if batch < draft.slices:
        message = f"a batch of {batch} cannot be divided into {draft.slices} slices"
        beside = spec.beside(f"{spec.config.samples} a step", "data", "batch_size")
        yield spec.error("SPC622", message, *AT, label=f"at most {batch}", secondary=beside)


def _statistics(draft: Draft) -> Iterator[Diagnostic]:
    norms = [
        network.prefix + node.name
        for network in draft.networks.values()
        for node in network.graph.simple
        if isinstance(node.op, BatchNorm)
    ]
    if norms:
        size, more = draft.spec.config.data.batch_size // draft.slices, f" and {len(norms) - 1} more" * (len(norms) > 1)
        samples = draft.spec.config.samples
        message = (
            f"batch norm `{norms[0]}`{more} normalises by the statistics of a slice, of {size} {samples}, and counts "
            f"every slice in its running statistics: the step is not quite that of a batch of {size * draft.slices}"
        )
        help = (f"`group_norm` and `layer_norm` look at one {draft.spec.config.learns.sample} alone",)
        yield draft.spec.warning("SPC620", message, *AT, label="statistics per slice", help=help)


def _unequal_means(draft: Draft) -> Iterator[Diagnostic]:
    heads = [(unit.name, head) for unit in draft.units for head in unit.heads if LOSSES[head.loss].over_slices]
    if heads:
        unit, head = heads[0]
        message = f"the loss `{head.loss}` of `{unit}.{head.name}` {LOSSES[head.loss].over_slices}"
        yield draft.spec.warning("SPC621", message, *AT, label="not the loss of the whole batch")
