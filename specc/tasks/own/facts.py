"""What is known of data sets that were not written for specc: what they say themselves, and their first samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ..datasets import INFO, DatasetInfo, ResolvedData, Shape, TargetKind

Numbers = Literal["bytes", "floats"]
MODULE, GIVEN = "module", "given"  # what such data sets are called in a spec: of a file, or handed over from Python
OWN = (MODULE, GIVEN)
_HALF = 0.5
_TAKEN = {
    "class": "the number of a class", "multi_label": "a 0 or a 1 for every class",
    "map": "the number of a class for every pixel, height × width",
}  # fmt: skip


class OwnDataError(Exception):
    """Data sets of somebody else's code that cannot be had: why, and what to do about it."""

    def __init__(self, message: str, help: tuple[str, ...] = (), code: str = "SPC608") -> None:
        super().__init__(message)
        self.help, self.code = help, code


@dataclass(frozen=True, slots=True)
class Facts:
    """What data sets say: the shape of an image (channels, height, width), its pixels, and what is known of it.

    `truth` is the shape of what is known of a sample, `whole` whether it is made of whole numbers. A part of the data
    that there is not has no samples.
    """

    shape: Shape
    pixels: Numbers
    truth: Shape
    whole: bool
    train_size: int
    test_size: int = 0
    validation_size: int = 0
    class_names: tuple[str, ...] = ()
    batch_size: int = 0  # of a loader; 0: nothing says how many
    unit: bool = True  # whether the numbers of the first images lie in 0..1, those of bytes after they are scaled

    @property
    def kinds(self) -> tuple[TargetKind, ...]:
        """What may be learnt of such samples."""
        if not self.truth:
            return ("class",) if self.whole else ()
        if len(self.truth) == 1:
            return ("multi_label", "tokens") if self.whole else ("multi_label", "vector")
        return ("map",) if len(self.truth) == 2 and self.whole else ()

    @property
    def told(self) -> str:
        """What is known of a sample, in words."""
        kind = "whole number" if self.whole else "number"
        return f"{'×'.join(map(str, self.truth))} {kind}s" if self.truth else f"one {kind}"

    def resolved(self, name: str, target: TargetKind, **options: Any) -> ResolvedData:
        """The facts under a spec's options; `OptionError` names the one that contradicts them or is missing.

        `OwnDataError` where they are not what a task learns.

        Bytes are scaled to 0..1 and normalised; other numbers are taken as they are, unless the spec says how.
        """
        if target not in self.kinds:
            what = f"what the first sample says of its image is {self.told}, of which the task learns nothing"
            raise OwnDataError(what, (f"the task takes {_TAKEN.get(target, target)}",), "SPC606")
        if target == "map" and options["image_size"] is None and self.truth != self.shape[1:]:
            sizes = " and of ".join("×".join(map(str, size)) for size in (self.shape[1:], self.truth))
            raise OwnDataError(f"the first sample has an image and a mask of {sizes} pixels")
        if isinstance(size := options["image_size"], list) and len(size) != 2:
            raise OwnDataError(f"`image_size` has {len(size)} numbers, and the first image has a height and a width")
        found = self._info(name, target, options["classes"]).resolved(target=target, **options)
        return replace(found, validation_size=self.validation_size, own_numbers=self.pixels == "floats")

    def _info(self, name: str, target: TargetKind, asked: int | None) -> DatasetInfo:
        channels = self.shape[0]
        mean, std = (_HALF, _HALF) if self.pixels == "bytes" else (0.0, 1.0)
        counted = len(self.class_names) or (self.truth[0] if target in ("multi_label", "vector") else None)
        return replace(
            INFO[name], shape=self.shape, classes=counted, mean=(mean,) * channels, std=(std,) * channels,
            train_size=self.train_size, test_size=self.test_size, class_names=self.class_names,
        )  # fmt: skip
