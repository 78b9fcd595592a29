"""What goes with `devices.shard` only where all of a tensor is in one place."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...language.source import Path
from ..draft import Draft

ELEMENTWISE = ("sgd", "adam", "adamw")


def not_sharded(draft: Draft) -> Iterator[Diagnostic]:
    """Copies cannot keep a part each of what this needs in full; one copy has all of it."""
    spec, devices = draft.spec, draft.spec.config.devices
    if not devices.shard:
        return
    if devices.data_parallel == 1:
        message = "`shard` has no effect: one copy of the network keeps all of it"
        help = ("`devices.data_parallel: 2` has two copies, with half of it each",)
        yield spec.warning("SPC108", message, "devices", "shard", label="ignored", help=help, key=True)
        return
    beside = spec.beside("parameters are sharded", "devices", "shard")
    for path, what in _in_full(draft):
        message = f"{what} has to have all of a tensor, and `devices.shard` leaves every copy a part"
        help = ("`devices: {shard: false}` keeps all of it in every copy",)
        yield spec.error("SPC690", message, *path, label="takes whole tensors", help=help, secondary=beside)


def _in_full(draft: Draft) -> Iterator[tuple[Path, str]]:
    config = draft.spec.config
    train = config.train
    found: dict[Path, tuple[bool, str]] = {
        ("train", "optimizer", "name"): (train.optimizer.name not in ELEMENTWISE, f"`{train.optimizer.name}`"),
        ("train", "precision"): (train.precision == "fp16", "the scaling of gradients in fp16"),
        ("train", "memory_format"): (train.memory_format != "contiguous", "`memory_format: channels_last`"),
        ("train", "weight_average"): (train.weight_average is not None, "`weight_average`"),
        ("train", "compile"): (train.compile, "`compile`"),
        ("train", "graphs"): (train.graphs, "`graphs`"),
        ("train", "instructions"): (bool(train.instructions), "an instruction of a package"),
    }
    yield from ((path, what) for path, (there, what) in found.items() if there)
    for i, link in enumerate(config.ema_links):
        if link.bias in ("scaled", "parameter"):
            yield ("ema_links", i, "bias"), f"`bias: {link.bias}`"
