"""Check 8, continued: what is asked of data that somebody else's code makes."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...learning.heads import Decoder
from ...spec.augmentations import Mixing
from ...spec.own_data import known_of, own_code
from ...tasks.own.facts import OWN
from ..draft import Draft

AT = ("data", "augment")


def check_own_data(draft: Draft) -> Draft:
    """Augmentations and decoders have to do with what such images are: bytes, or numbers of any range."""
    if draft.spec.config.data.dataset not in OWN:
        return draft
    return draft.updated(*_augmented(draft), *_restored(draft))


def _augmented(draft: Draft) -> Iterator[Diagnostic]:
    """What is not defined for them."""
    spec, augment = draft.spec, draft.spec.config.data.augment
    if augment == "paper":
        help = ("a list of augmentations, or what the data sets do themselves",)
        yield spec.error(
            "SPC660", "no paper has code for data of your own", *AT, label="knows nothing of them", help=help
        )
    if isinstance(augment, str) or not draft.info.own_numbers:
        return
    for i, step in enumerate(augment):
        if not step.augmentation.moves and not isinstance(step.augmentation, Mixing):
            message = f"`{step.name}` changes pixels in a known range, and the data sets give numbers of their own"
            help = ("data sets that give bytes (`uint8`) are augmented, then normalised by `data.mean` and `data.std`",)
            yield spec.error("SPC660", message, *AT, i, label="for bytes", help=help)


def _restored(draft: Draft) -> Iterator[Diagnostic]:
    """A decoder gives what lies in 0..1."""
    spec = draft.spec
    if known_of(spec).unit:
        return
    for at, head in spec.config.heads():
        if isinstance(head, Decoder):
            message = "a decoder gives numbers from 0 to 1, and those of the first images lie outside"
            help = ("let the data sets give bytes, or 0 to 1, which `data.mean` and `data.std` normalise",)
            beside = spec.beside("whose images these are", *own_code(spec))
            yield spec.error("SPC609", message, *at, label="cannot restore them", help=help, secondary=beside)
            return
