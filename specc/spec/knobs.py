"""Knobs: how a step can take less memory, beside more blocks. One description each, and `KNOBS` is all there are.

`fit`, a budget's remedies, `--allow`, the schema and the reference read nothing else, so a further knob is one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

from ..graph.families import Backbone
from ..language.schema import Config
from ..learning.heads import Head, Patches
from ..system.plugins import PluginError, Registry
from .sections.data import Data
from .sections.devices import Devices
from .sections.train import Train


class Configuration(Protocol):
    """What a knob is turned on: a `SpecModel`, of which this does not know what may be said of its split."""

    @property
    def backbone(self) -> Backbone:
        """The network."""

    @property
    def data(self) -> Data:
        """Which images to train on."""

    @property
    def devices(self) -> Devices:
        """How many to train on."""

    @property
    def train(self) -> Train:
        """How to train."""

    def changed(self, section: str, **values: Any) -> Self:
        """With some keys of one section changed."""

    def with_heads(self, change: Callable[[Head], Head]) -> Self:
        """With every head changed."""


class Change(IntEnum):
    """What becomes of the numbers of a step, the mildest first."""

    NOTHING = 0
    ROUNDING = 1
    STATISTICS = 2
    PRECISION = 3
    BATCH = 4


Spec = TypeVar("Spec", bound=Configuration)
Peak = Callable[[Spec], int | None]  # predicted; None where the configuration has errors
Found = tuple[Spec, int]  # a configuration and its peak


@dataclass(frozen=True, slots=True)
class Knob:
    """What can be turned, how, and what that costs."""

    name: str  # in `allow`
    key: str  # what it changes, as a spec says it
    does: str
    costs: str
    rank: int  # what costs least is preferred, and has the lowest
    # A `SpecModel`, once; None where it is turned as far as it goes. The network and its images stay what they are.
    turn: Callable[[Any], Any]
    turns: int = 1  # that a search of splits tries
    changes: Change = Change.BATCH  # which nobody wants unasked
    saves: bool = True  # memory; what saves time alone is no way out where a peak is too high
    asked: bool = False  # searches turn it where it is named alone, as FLOPs do not tell what it costs
    release: Callable[[Any], Any] | None = None  # turned back to what takes most memory and least time
    value: Callable[[Any], Any] | None = None  # for what does not stand at one key of the spec
    # For the mildest setting that fits a budget, with its peak, where turning again and again is not the way.
    search: Callable[[Any, int, Peak[Any]], Found[Any] | None] | None = None

    def setting(self, config: Configuration) -> str:
        """How it is set, as a spec says it: ``train.precision: bf16``."""
        own = self.value(config) if self.value else _at(config, self.key)
        return f"{self.key}: {written(own)}"

    def override(self, config: Configuration) -> str:
        """The same as an argument of the command line; nothing where it stands at many places of a spec."""
        return self.setting(config).replace(": ", "=", 1) if self.value is None else ""

    def released(self, config: Spec) -> Spec:
        """Turned back, where what a spec says of it is a price that it pays for memory."""
        result: Spec = config if self.release is None else self.release(config)
        return result

    def turned(self, config: Spec) -> Spec | None:
        """Turned once; searches go on with the network and the images that they have."""
        result: Spec | None = self.turn(config)
        if result is None or (result.backbone, _images(result)) == (config.backbone, _images(config)):
            return result
        help = "a knob changes how a network is trained, not which network on which images"
        raise PluginError(f"the knob `{self.name}` changes more than a knob may", help)

    def furthest(self, config: Spec) -> Spec:
        """Turned as far as it goes."""
        while (turned := self.turned(config)) is not None:
            config = turned
        return config

    def mildest(self, config: Spec, budget: int, peak: Peak[Spec]) -> Found[Spec] | None:
        """Turned no further than the budget asks for; None where that is not enough, or where it cannot be turned."""
        if self.search is not None:
            return self.search(config, budget, peak)
        turned, furthest = self.turned(config), self.furthest(config)
        if turned is None or (most := peak(furthest)) is None or most > budget:
            return None
        while turned != furthest:
            if (found := peak(turned)) is not None and found <= budget:
                return turned, found
            turned = self.turned(turned) or furthest
        return furthest, most


def _images(config: Configuration) -> Config:
    return config.data.model_copy(update={"batch_size": 0})


def _at(config: Any, key: str) -> Any:
    """What stands at a dotted key; None where there is no such section."""
    return reduce(lambda at, name: getattr(at, name, None), key.split("."), config)


def written(value: Any) -> str:
    """A value on one line of YAML, without what it does not set."""
    if isinstance(value, Config):
        keys = (key for key in type(value).model_fields if key in value.model_fields_set)
        return "{" + ", ".join(f"{key}: {written(getattr(value, key))}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sequential_patches(config: Spec) -> Spec | None:
    """Every head's patches one after the other; None where no head has patches that run together."""
    changed = config.with_heads(lambda head: _patched(head, "sequential"))
    return None if changed == config else changed


def _joint_patches(config: Spec) -> Spec:
    """Every head's patches together."""
    return config.with_heads(lambda head: _patched(head, "joint"))


def _patched(head: Head, execution: str) -> Head:
    if head.patches is None or head.patches.execution == execution:
        return head
    patches = Patches.model_validate({**head.patches.model_dump(exclude_unset=True), "execution": execution})
    return head.model_copy(update={"patches": patches})


def largest_batch(config: Spec, budget: int, peak: Peak[Spec]) -> Found[Spec] | None:
    """A batch that fits, nearly the largest: a multiple of 8 where it can be.

    A peak is the highest of several sums that grow evenly with the batch, so it lies below the line between two others.
    """

    def at(size: int) -> int | None:
        return peak(config.changed("data", batch_size=size))

    size, high = config.train.micro_batches, config.data.batch_size
    least, most = at(size), at(high)
    for _ in range(2):
        if least is None or most is None or not least <= budget < most:
            return None
        guess = size + (high - size) * (budget - least) // (most - least)
        size = guess - guess % 8 or guess
        least = at(size)
    return None if least is None or least > budget else (config.changed("data", batch_size=size), least)


def _more_slices(config: Spec) -> Spec | None:
    """Sixteen at most, of eight images at least: below that kernels are small, and so are batches for statistics."""
    count = 2 * config.train.micro_batches
    return config.changed("train", micro_batches=count) if count <= min(16, config.data.batch_size // 8) else None


def _half_the_batch(config: Spec) -> Spec | None:
    size = config.data.batch_size // 2
    return config.changed("data", batch_size=size) if size >= config.train.micro_batches else None


def _on_the_host(config: Spec) -> Spec | None:
    """The optimizer's state first; not beside what works on the device's own parameters."""
    if "parameters" in config.train.offload or config.train.instructions or config.devices.shard:
        return None
    more = ["parameters"] if config.train.offload else []
    return config.changed("train", offload=["optimizer", *more])


def _in_turn(config: Spec, budget: int, peak: Peak[Spec]) -> Found[Spec] | None:
    """The first that fits: where few parameters are left, those that come next are more than is gained."""
    turned = _on_the_host(config)
    while turned is not None:
        if (found := peak(turned)) is not None and found <= budget:
            return turned, found
        turned = _on_the_host(turned)
    return None


def _pixel_by_pixel(config: Spec) -> Spec | None:
    """Once; there is nothing to gain where features are no maps, but that is seen when it is tried."""
    if config.train.memory_format == "channels_last":
        return None
    return config.changed("train", memory_format="channels_last")


_OWN = (
    Knob(
        "patches", "patches.execution", "every head's patches one after the other",
        "smaller kernels; one forward pass more of heads that average outputs", 10, _sequential_patches,
        value=lambda config: "joint" if _sequential_patches(config) else "sequential", changes=Change.ROUNDING,
        release=_joint_patches,
    ),
    Knob(
        "recompute", "train.recompute", "keep what enters each layer, compute the rest again",
        "time: the forward pass of every block once more", 30,
        lambda config: None if config.train.recompute is True else config.changed("train", recompute=True),
        changes=Change.NOTHING, release=lambda config: config.changed("train", recompute=False),
    ),
    Knob(
        "micro_batches", "train.micro_batches", "the batch in twice as many slices, whose gradients are summed",
        "smaller kernels; batch norm sees the statistics of a slice", 45,
        _more_slices, turns=4, changes=Change.STATISTICS,
        release=lambda config: config.changed("train", micro_batches=1),
    ),
    Knob(
        "precision", "train.precision", "activations in bf16", "precision: 8 bits of a number instead of 24", 50,
        lambda config: config.changed("train", precision="bf16") if config.train.precision == "fp32" else None,
        changes=Change.PRECISION,
    ),
    Knob(
        "memory_format", "train.memory_format", "feature maps pixel by pixel", "nothing, where convolutions take less",
        60, _pixel_by_pixel, changes=Change.ROUNDING, saves=False,
    ),
    Knob(
        "batch_size", "data.batch_size", "half the batch", "another training: noisier steps, and more of them", 70,
        _half_the_batch, search=largest_batch, changes=Change.BATCH,
    ),
    Knob(
        "offload", "train.offload", "the optimizer's state on the host, then the parameters too",
        "time: all parameters come and all gradients go in every step, and the host makes the optimizer's steps", 80,
        _on_the_host, turns=2, search=_in_turn, changes=Change.ROUNDING, asked=True,
    ),
)  # fmt: skip
KNOBS = Registry("knob", Knob, {knob.name: knob for knob in _OWN})


def by_cost(*more: Knob) -> Iterator[Knob]:
    """All knobs that save memory, what costs least first."""
    usable = (knob for knob in KNOBS.usable().values() if knob.saves)
    return iter(sorted((*usable, *more), key=lambda knob: knob.rank))


def every() -> list[Knob]:
    """All knobs, what costs least first."""
    return sorted(KNOBS.usable().values(), key=lambda knob: knob.rank)


def turned(before: Configuration, after: Configuration) -> list[str]:
    """How the knobs are set that were turned."""
    return [now for knob in every() if (now := knob.setting(after)) != knob.setting(before)]


def in_a_name(setting: str) -> str:
    """A setting in a spec's name.

    >>> [in_a_name(f"train.{each}") for each in ("recompute: true", "micro_batches: 4", "precision: bf16")]
    ['recompute', '4_micro_batches', 'bf16']
    """
    key, value = setting.split(": ", 1)
    key = key.rpartition(".")[2]
    if value.isdecimal():
        return f"{value}_{key}"
    return value if value.replace("_", "").isalnum() and value not in ("true", "false") else key
