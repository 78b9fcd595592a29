"""Check 8: augmentations that the data set, the task or a loss has no use for."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...learning.losses import LOSSES
from ...spec.augmentations import Augmentation, Mixing
from ...tasks.datasets import kept_in
from ..draft import Draft

AT = ("data", "augment")
Named = tuple[int, str, Augmentation]  # its place in the list, its name


def check_augmentation(draft: Draft) -> Draft:
    """Every augmentation is defined for the images, and a mixture for what is learnt of it."""
    augment = draft.spec.config.data.augment
    if isinstance(augment, str):
        return draft.updated(*_idle_workers(draft), *_paper(draft))
    named = [(i, step.name, step.augmentation) for i, step in enumerate(augment)]
    return draft.updated(*_undefined(draft, named), *_unordered(draft, named), *_unmixable(draft, named))


def _idle_workers(draft: Draft) -> Iterator[Diagnostic]:
    """Processes that have nothing to do."""
    data = draft.spec.config.data
    if data.workers and data.dataset in kept_in("memory", "made"):
        message = f"`workers` has no effect: `{data.dataset}` lies in memory, and `augment` is no list of augmentations"
        yield draft.spec.warning("SPC108", message, "data", "workers", label="ignored", key=True)


def _paper(draft: Draft) -> Iterator[Diagnostic]:
    """What papers do to images, where there are none."""
    if draft.spec.config.data.augment == "paper" and len(draft.info.shape) != 3:
        message = f"the samples of the data set `{draft.info.name}` are no images"
        yield draft.spec.error("SPC660", message, *AT, label="for images")


def _undefined(draft: Draft, named: list[Named]) -> Iterator[Diagnostic]:
    """What torchvision would refuse, or do to an image and not to its mask."""
    spec, info, masks = draft.spec, draft.info, draft.spec.config.learns.kind == "map"
    if len(info.shape) != 3:
        message = f"the samples of the data set `{info.name}` are no images"
        yield spec.error("SPC660", message, *AT, label="for images")
        return
    for i, name, each in named:
        if masks and not each.maskable:
            message = f"`{name}` is not defined where every pixel has a class: it knows nothing of masks"
            beside = spec.beside("masks are learnt", "task")
            yield spec.error("SPC660", message, *AT, i, label="changes images alone", secondary=beside)
        if each.colours and info.shape[0] not in (1, 3):
            message = f"`{name}` is defined for grey images and for three colours, not for {info.shape[0]} channels"
            yield spec.error("SPC660", message, *AT, i, label="another number of channels")
        yield from _uneven(draft, i, name, each)


def _uneven(draft: Draft, i: int, name: str, each: Augmentation) -> Iterator[Diagnostic]:
    """Pixels of another number of channels."""
    channels = draft.info.shape[0]
    for key in ("fill", "value"):
        numbers = getattr(each, key, None)
        if isinstance(numbers, list) and len(numbers) != channels:
            message = f"`{key}` of `{name}` has {len(numbers)} numbers for {channels} channels"
            yield draft.spec.error("SPC603", message, *AT, i, name, key, label=f"{channels}, or one for all")


def _unordered(draft: Draft, named: list[Named]) -> Iterator[Diagnostic]:
    """A batch is mixed when its images are there."""
    last = max((i for i, _, each in named if not isinstance(each, Mixing)), default=-1)
    for i, name, each in named:
        if isinstance(each, Mixing) and i < last:
            message = f"`{name}` mixes finished images: nothing of one image can come after it"
            yield draft.spec.error("SPC662", message, *AT, i, label="not at the end", help=("put it last",))


def _unmixable(draft: Draft, named: list[Named]) -> Iterator[Diagnostic]:
    """Losses that are told one class a sample."""
    mixing = next(((i, name) for i, name, each in named if isinstance(each, Mixing)), None)
    heads = [(unit.name, head) for unit in draft.units for head in unit.heads]
    fixed = [(unit, head) for unit, head in heads if not LOSSES[head.loss].shares and LOSSES[head.loss].compares]
    if mixing is None or not fixed or draft.spec.config.learns.kind == "map":  # then it is undefined anyway
        return
    (i, name), (unit, head) = mixing, fixed[0]
    message = f"`{name}` makes samples of several classes, and the loss `{head.loss}` of `{unit}.{head.name}` takes one"
    help = ("losses that take the shares of classes: " + ", ".join(_taking()),)
    yield draft.spec.error("SPC661", message, *AT, i, label="mixes classes", help=help)


def _taking() -> list[str]:
    return [name for name, loss in LOSSES.usable().items() if loss.shares]
