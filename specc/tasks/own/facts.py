"""What is known of data sets that were not written for specc: what they say themselves, and their first samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ..datasets import INFO, DatasetInfo, OptionError, ResolvedData, Shape, TargetKind
from ..dtypes import DType
from ..inputs import Parts, packed, told

Numbers = Literal["bytes", "floats", "tokens"]
MODULE, GIVEN = "module", "given"  # what such data sets are called in a spec: of a file, or handed over from Python
OWN = (MODULE, GIVEN)
_HALF = 0.5
LOOP = ("signals and volumes of your own are trained in a loop of your own: `runtime.wrap`",)
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

    A text has one axis, its length, and tokens in place of pixels.

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
    parts: Parts = ()  # of samples that are several inputs, which lie side by side in one of the shape

    @property
    def kinds(self) -> tuple[TargetKind, ...]:
        """What may be learnt of such samples."""
        if not self.truth:
            return ("class",) if self.whole else ()
        if len(self.truth) == 1:
            return ("multi_label", "tokens") if self.whole else ("multi_label", "vector")
        return ("map",) if len(self.truth) == 2 and self.whole else ()

    @property
    def holds(self) -> DType:
        """What a sample is made of."""
        return "int64" if self.pixels == "tokens" else "float32"

    @property
    def told(self) -> str:
        """What is known of a sample, in words."""
        kind = "whole number" if self.whole else "number"
        return f"{'×'.join(map(str, self.truth))} {kind}s" if self.truth else f"one {kind}"

    def resolved(self, name: str, target: TargetKind, input: DType = "float32", **options: Any) -> ResolvedData:
        """The facts under a spec's options; `OptionError` names the one that contradicts them or is missing.

        `OwnDataError` where they are not what a task learns.

        Bytes are scaled to 0..1 and normalised; other numbers are taken as they are, unless the spec says how.
        """
        if input == "int64" and self.parts:
            what = f"the first sample is several inputs, {told(self.parts)}, and the task learns of a text alone"
            others = ("`task: classification` learns one class of several inputs",
                      "or give the tokens alone: a mask follows from the padding")  # fmt: skip
            raise OwnDataError(what, others, "SPC606")
        if input != self.holds:
            text = input != "int64"
            said, wants = ("a text, whole numbers along one axis", "images") if text else ("no text", "texts")
            help = ("`task: text_classification` learns one class a text",) if text else (
                "a text is a tensor, an array or a list of whole numbers along one axis",
                "nothing stands beside it: a mask follows from the padding",)  # fmt: skip
            raise OwnDataError(f"the first sample is {said}, and the task learns of {wants}", help, "SPC606")
        if target not in self.kinds:
            what = f"what is known of the first sample is {self.told}, of which the task learns nothing"
            raise OwnDataError(what, (f"the task takes {_TAKEN.get(target, target)}",), "SPC606")
        if self.parts:
            return self._packed(name, target, **options)
        if target == "map" and options["image_size"] is None and self.truth != self.shape[1:]:
            sizes = " and of ".join("×".join(map(str, size)) for size in (self.shape[1:], self.truth))
            raise OwnDataError(f"the first sample has an image and a mask of {sizes} pixels")
        if input != "int64" and isinstance(size := options["image_size"], list) and len(size) != 2:
            raise OwnDataError(
                f"`image_size` has {len(size)} numbers, and the first image has a height and a width", LOOP
            )
        found = self._info(name, target, options["classes"]).resolved(target=target, input=input, **options)
        return replace(found, validation_size=self.validation_size, own_numbers=self.pixels == "floats")

    def _packed(self, name: str, target: TargetKind, classes: int | None, **options: Any) -> ResolvedData:
        """Of several inputs nothing is scaled, and nothing brought to a size."""
        for option in (key for key, value in options.items() if value):
            message = f"`{option}` is about images, and the samples are several inputs: {told(self.parts)}"
            raise OptionError("other", option, message)
        if target == "map":
            raise OwnDataError(f"the samples are {told(self.parts)}, and a mask is one of an image", (), "SPC606")
        counted = len(self.class_names) or sum(self.truth) or None
        if classes is None and counted is None:
            raise OptionError("missing", "classes", f"the data set `{name}` needs `classes`")
        if classes and counted not in (None, classes):
            raise OptionError("other", "classes", f"the data set `{name}` has {counted} classes, not {classes}")
        return ResolvedData(
            name, self.shape, classes or counted or 0, (0.0,), (1.0,), self.train_size, self.test_size,
            self.class_names, self.validation_size, own_numbers=True, parts=self.parts,
        )  # fmt: skip

    def _info(self, name: str, target: TargetKind, asked: int | None) -> DatasetInfo:
        channels = 0 if self.pixels == "tokens" else self.shape[0]
        mean, std = (_HALF, _HALF) if self.pixels == "bytes" else (0.0, 1.0)
        counted = len(self.class_names) or (self.truth[0] if target in ("multi_label", "vector") else None)
        return replace(
            INFO[name], shape=self.shape, classes=counted, mean=(mean,) * channels, std=(std,) * channels,
            train_size=self.train_size, test_size=self.test_size, class_names=self.class_names,
        )  # fmt: skip


def like_those_of(parts: Parts, target: TargetKind, classes: int, samples: int) -> Facts:
    """What data sets would say of samples of several inputs, where there are none yet."""
    truth = () if target == "class" else (classes,)
    return Facts(packed(parts), "floats", truth, target in ("class", "tokens"), samples, parts=parts)
