"""Check 8: what several devices cannot do, and what they do otherwise than one."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...graph.ops.scaling import Dropping
from ...learning.losses import LOSSES
from ..draft import Draft

STAGES, COPIES, AFTER = ("devices", "block_parallel"), ("devices", "data_parallel"), ("devices", "after")


def check_layouts(draft: Draft) -> Draft:
    """Stages are runs of blocks, copies have their parts of a batch; what looks beyond these is another thing then."""
    devices = draft.spec.config.devices
    found: list[Diagnostic] = []
    if devices.block_parallel > 1:
        found += [*_too_many_stages(draft), *_cuts(draft), *_scaled(draft)]
    if devices.data_parallel > 1:
        found += [*_too_few_images(draft), *_losses(draft)]
    if devices.count > 1:
        found += _drawn(draft)
    return draft.updated(*found)


def _too_many_stages(draft: Draft) -> Iterator[Diagnostic]:
    spec, blocks = draft.spec, len(draft.blocks)
    stages = spec.config.devices.block_parallel
    if stages > blocks:
        message = f"{stages} stages are more than there are blocks, {blocks}: a block is on one device"
        beside = spec.beside("cuts the network into blocks", "split")
        help = (f"set `devices.block_parallel: {blocks}`" if blocks > 1 else "leave `block_parallel` out",)
        yield spec.error("SPC680", message, *STAGES, label=f"at most {blocks}", secondary=beside, help=help)


def _cuts(draft: Draft) -> Iterator[Diagnostic]:
    """Stages end where blocks do, in the order of the network, and the last one at its end."""
    ends = {block.layers[-1]: block.index for block in draft.blocks[:-1]}
    before = -1
    for i, name in enumerate(draft.spec.config.devices.after or ()):
        if name not in ends:
            message = f"no block but the last ends with `{name}`, so no stage does"
        elif ends[name] <= before:
            message = f"`{name}` is no later than the end of the stage before"
        else:
            before = ends[name]
            continue
        known = ", ".join(f"`{each}`" for each in ends) or "none: there is one block"
        help = (f"layers that blocks end with, in their order: {known}",)
        yield draft.spec.error("SPC681", message, *AFTER, i, label="no end of a stage", help=help)


def _too_few_images(draft: Draft) -> Iterator[Diagnostic]:
    """A training leaves out an incomplete last batch, so that all are of this size."""
    spec, copies = draft.spec, draft.spec.config.devices.data_parallel
    batch = min(spec.config.data.batch_size, draft.info.train_size or 1 << 62)
    if batch < copies * draft.slices:
        slices = f" in {draft.slices} slices each" * (draft.slices > 1)
        message = f"a batch of {batch} cannot be divided among {copies} copies{slices}"
        beside = spec.beside(f"{spec.config.samples} a step", "data", "batch_size")
        yield spec.error("SPC682", message, *COPIES, label=f"at most {batch // draft.slices}", secondary=beside)


def _losses(draft: Draft) -> Iterator[Diagnostic]:
    heads = [(unit.name, head) for unit in draft.units for head in unit.heads if LOSSES[head.loss].over_slices]
    if heads:
        unit, head = heads[0]
        why = LOSSES[head.loss].over_slices.replace("slices", "copies").replace("slice", "copy")
        message = f"the loss `{head.loss}` of `{unit}.{head.name}` {why}"
        yield draft.spec.warning("SPC683", message, *COPIES, label="not the loss of the whole batch")


def _scaled(draft: Draft) -> Iterator[Diagnostic]:
    """Each stage would find a scale of its own, and leave out other steps than the next one."""
    if draft.spec.config.train.precision == "fp16":
        message = "fp16 scales all losses of a step by one number, which stages do not agree on"
        beside = draft.spec.beside("several stages", *STAGES)
        help = ("`train.precision: bf16` needs no scale",)
        at = ("train", "precision")
        yield draft.spec.error("SPC684", message, *at, label="not in stages", secondary=beside, help=help)


def _drawn(draft: Draft) -> Iterator[Diagnostic]:
    names = [
        network.prefix + node.name
        for network in draft.networks.values()
        for node in network.graph.simple
        if isinstance(node.op, Dropping) and node.op.p
    ]
    if names:
        more = f" and {len(names) - 1} more" * (len(names) > 1)
        message = (
            f"what `{names[0]}`{more} drops is drawn by every device for itself: a run of one device draws otherwise, "
            "so its figures are not the same to the last digit"
        )
        where = COPIES if draft.spec.config.devices.data_parallel > 1 else STAGES
        yield draft.spec.note("SPC685", message, *where, label="drawn by each device")
