"""The static facts of every data set a spec can name. No torch, no disk: shape inference needs only this.

A data set is one line here and one function of the same name in `runtime/data/sources/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from ..system.plugins import Registry
from .class_names import CLASS_NAMES
from .dtypes import DType, dtype_of
from .folders import listed
from .inputs import PartsIfAny

Shape = tuple[int, ...]
AXES = {  # of a sample, by how many it has
    1: ("length",), 2: ("channels", "length"), 3: ("channels", "height", "width"),
    4: ("channels", "depth", "height", "width"),
}  # fmt: skip
SAMPLE = "sample"  # all of them, whatever they are
TargetKind = Literal["class", "multi_label", "map", "tokens", "vector"]  # what is known of a sample

# InfoPro's CIFAR-10 statistics (all papers of this family copied them); torchvision's ImageNet statistics.
_CIFAR_MEAN, _CIFAR_STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ANY: tuple[TargetKind, ...] = ("class", "multi_label", "map", "tokens", "vector")
_BOTH: tuple[DType, ...] = ("float32", "int64")
_HALF1, _HALF3 = (0.5,), (0.5, 0.5, 0.5)
OF_IMAGES = ("image_size", "channels", "mean", "std", "resplit")
OF_TEXTS = ("length", "vocabulary")
OPTIONS = (*OF_IMAGES, *OF_TEXTS, "classes", "samples")  # of a spec, by which it resolves
MOST_MAPPED = 255  # classes of a mask, whose pixels are bytes: the last one is that of a pixel that does not count


class OptionError(ValueError):
    """The options contradict the data set. `option` is the one to blame, and `kind` says how."""

    def __init__(self, kind: str, option: str, message: str) -> None:
        self.kind, self.option = kind, option
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ResolvedData:
    """A data set under a spec's options: all that shapes, targets and statistics follow from.

    A size of 0 is one that only the disk knows. What `DatasetInfo` says of the rest holds here too.

    `class_names` has a name for each class in the order of their numbers, or none where nobody gave them names. The
    plan in a run directory has those of the data set as it was opened (`Plan.data.class_names`): whoever shows classes
    of a run, or hands its network on, reads them there and needs no data for it.
    """

    name: str
    shape: Shape
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_size: int = 0
    test_size: int = 0
    class_names: tuple[str, ...] = ()
    validation_size: int = 0  # images that would train otherwise
    skipped: tuple[str, ...] = ()  # names of images that could not be read when the run began: it goes on without them
    files: str = ""  # a hash of the names of all others
    own_numbers: bool = False  # images are numbers as somebody's own code makes them, and no bytes
    parts: PartsIfAny = ()  # of samples that are several inputs: all their numbers lie side by side
    vocabulary: Annotated[int, Field(exclude_if=lambda value: not value)] = 0  # of texts: what tokens are below

    def __post_init__(self) -> None:
        """A plan from a file may say anything."""
        if len(self.class_names) not in (0, self.classes):
            raise ValueError(f"{len(self.class_names)} names for {self.classes} classes")

    def class_name(self, number: int) -> str:
        """What a class is called; its number where it has no name."""
        return self.class_names[number] if self.class_names else str(number)

    def holding_out(self, asked: int | float | None) -> ResolvedData:
        """Some of the training images, or a part of them, kept apart; `OptionError` where none are left to train on.

        >>> INFO["digits"].resolved().holding_out(0.1).validation_size
        144
        """
        if asked is None or not self.train_size:
            return self
        count = asked if isinstance(asked, int) else max(1, round(asked * self.train_size))
        if count >= self.train_size:
            message = f"`validation: {asked}` of {self.train_size:,} training samples leaves none to train on"
            raise OptionError("other", "validation", message)
        return replace(self, train_size=self.train_size - count, validation_size=count)

    @property
    def dtype(self) -> DType:
        """What a sample is made of: the tokens of a text are whole numbers."""
        return dtype_of(self.vocabulary)

    @property
    def image_size(self) -> tuple[int, ...]:
        """(height, width) in pixels; the length of a signal, or what a volume has."""
        return self.shape[1:]

    @property
    def pixels_can_lie_apart(self) -> bool:
        """Whether torch knows samples whose channels come last in memory: images alone."""
        return len(self.shape) == 3

    @property
    def along(self) -> tuple[int, ...]:
        """The shape in which one number a channel stands beside a batch of samples."""
        return (1, -1, *(1 for _ in self.shape[1:]))

    @property
    def axes(self) -> dict[str, int]:
        """The sizes that inputs, outputs and targets of a task are made of."""
        sizes = dict(zip(AXES[len(self.shape)], self.shape, strict=True))
        return sizes | {"classes": self.classes, "vocabulary": self.vocabulary}


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What is known about a data set without reading it; `None` means that the spec or the disk decides.

    `shape` is (channels, height, width) in pixels. `mean` and `std` are per channel, for images in 0..1, so
    `normalised * std + mean` is the image again (the target of a decoder). They are empty where the spec
    decides the number of channels. `kept` says where the images are: in memory, in a folder that is read batch by
    batch (and may be of the user's own making), nowhere, being made up, or own code's affair. `targets` says what is
    known of an image. A data set of a package says in `torch` where it is read: `package.module:function`.
    `foldered`: its classes are folders, whose names are listed where they are there. `holds` says what its samples may
    be made of: the numbers of images, or the tokens of texts.
    """

    name: str
    shape: Shape | None
    classes: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_size: int | None
    test_size: int | None
    kept: Literal["memory", "folder", "made", "own"] = "memory"
    targets: tuple[TargetKind, ...] = ("class",)
    torch: str = ""
    class_names: tuple[str, ...] = ()
    foldered: bool = False
    holds: tuple[DType, ...] = ("float32",)

    @property
    def reader(self) -> str:
        """Where the function is that reads it."""
        return self.torch or f"runtime.data.sources:{self.name}"

    def resolved(
        self, *, image_size: int | Sequence[int] | None = None, channels: int | None = None, classes: int | None = None,
        samples: int | None = None, mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
        class_names: Sequence[str] = (), resplit: bool = False, length: int | None = None,
        vocabulary: int | None = None, target: TargetKind = "class", input: DType = "float32",
    ) -> ResolvedData:  # fmt: skip
        """The facts under a spec's options; `OptionError` names the option that is missing or wrong.

        >>> INFO["cifar10"].resolved(image_size=64).shape
        (3, 64, 64)
        >>> INFO["synthetic"].resolved(length=16, vocabulary=500, classes=3, samples=40, input="int64").shape
        (16,)
        >>> INFO["synthetic"].resolved(image_size=8, channels=1, classes=3, samples=40).test_size
        10
        """
        if target not in self.targets or input not in self.holds:
            raise OptionError("target", "task", f"the data set `{self.name}` does not have what the task learns")
        of_images = (image_size, channels, mean, std, resplit or None)
        self._check_asked(dict(zip((*OF_IMAGES, *OF_TEXTS), (*of_images, length, vocabulary), strict=True)), input)
        if input == "int64":
            return self._text(length, vocabulary, classes, samples, class_names)
        if target == "map" and (classes or self.classes or 0) > MOST_MAPPED:
            raise OptionError("other", "classes", f"a mask has at most {MOST_MAPPED} classes, and not {classes}")
        channels = self._channels(channels)
        sizes = self._sizes((image_size,) * 2 if isinstance(image_size, int) else image_size, target)
        train_size = self._train_size(samples)
        if resplit and self.kept != "memory":
            raise OptionError("other", "resplit", f"the data set `{self.name}` cannot be split anew")
        return ResolvedData(
            name=self.name,
            shape=(channels, *sizes),
            classes=self._classes(classes, class_names),
            mean=_per_channel("mean", mean, channels) or _fitting(self.mean, channels),
            std=_per_channel("std", std, channels) or _fitting(self.std, channels),
            train_size=train_size or 0,
            test_size=self.test_size or (0 if samples is None else max(1, samples // 4)),
            class_names=self.class_names or tuple(class_names) or CLASS_NAMES.get(self.name, ()),
        )

    def _check_asked(self, given: Mapping[str, object], input: DType) -> None:
        """Raise `OptionError` where something is said of texts that are none, or of images that are none."""
        other, what = (OF_IMAGES, "texts") if input == "int64" else (OF_TEXTS, "no texts")
        if wrong := next((option for option in other if given[option] is not None), None):
            raise OptionError("other", wrong, f"the task learns of {what}, for which there is no `{wrong}`")

    def _text(
        self, length: int | None, vocabulary: int | None, classes: int | None, samples: int | None, found: Sequence[str]
    ) -> ResolvedData:
        """Sequences of one length: there are no channels, and nothing is normalised."""
        own = self.shape[0] if self.shape else length
        if length not in (None, own):
            what = f"the texts of the data set `{self.name}` have {own} tokens, not {length}"
            raise OptionError("other", "length", what)
        length = self._need("length", own)
        return ResolvedData(
            self.name, (length,), self._classes(classes, found), (), (), self._train_size(samples) or 0,
            self.test_size or (0 if samples is None else max(1, samples // 4)), self.class_names or tuple(found),
            vocabulary=self._need("vocabulary", vocabulary),
        )  # fmt: skip

    def _channels(self, asked: int | None) -> int:
        """A user's own images are read in colour or, where that is asked for, in grey."""
        if self.shape is None and self.kept == "folder":
            if asked not in (None, 1, 3):
                message = f"the data set `{self.name}` is read in 3 channels, or in 1 (grey), not in {asked}"
                raise OptionError("other", "channels", message)
            return asked or 3
        return self._need("channels", self._agree("channels", len(self.mean) or None, asked))

    def _classes(self, asked: int | None, found: Sequence[str]) -> int:
        """As many as there are folders of them, where those are known."""
        if found and asked not in (None, len(found)):
            message = (
                f"the data set `{self.name}` should have {asked} classes, {len(found)} folders found: {listed(found)}"
            )
            raise OptionError("other", "classes", message)
        return self._need("classes", len(found) or self._agree("classes", self.classes, asked))

    def _train_size(self, samples: int | None) -> int | None:
        if self.kept == "made":
            return self._need("samples", samples)
        if samples is not None and self.train_size is None:
            raise OptionError("other", "samples", f"the data set `{self.name}` counts its own samples")
        return self._agree("samples", self.train_size, samples)

    def _sizes(self, asked: Sequence[int] | None, target: TargetKind) -> Sequence[int]:
        """Those of an image; what is made up may be a signal or a volume as well."""
        sizes = self._native_size() if asked is None else asked
        if len(sizes) != 2 and self.kept != "made":
            message = f"the images of the data set `{self.name}` have a height and a width, not {len(sizes)} sizes"
            raise OptionError("other", "image_size", message)
        if len(sizes) != 2 and target == "map":
            raise OptionError("other", "image_size", f"a mask is one of an image, which has 2 sizes, not {len(sizes)}")
        return sizes

    def _native_size(self) -> Sequence[int]:
        return self.shape[1:] if self.shape else (self._need("image_size", None),) * 2

    def _need(self, option: str, value: int | None) -> int:
        if value is None:
            raise OptionError("missing", option, f"the data set `{self.name}` needs `{option}`")
        return value

    def _agree(self, option: str, own: int | None, asked: int | None) -> int | None:
        if own is not None and asked not in (None, own):
            raise OptionError("other", option, f"the data set `{self.name}` has {own} {option}, not {asked}")
        return asked if own is None else own


def _fitting(known: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """The data set's statistics, or those that put [0, 1] into [-1, 1] where they are of other channels."""
    return known if len(known) == channels else (0.5,) * channels


def _per_channel(option: str, values: Sequence[float] | None, channels: int) -> tuple[float, ...]:
    if values is not None and len(values) != channels:
        raise OptionError("length", option, f"`{option}` has {len(values)} numbers for {channels} channels")
    return tuple(values or ())


def kept_in(*places: str) -> list[str]:
    """The data sets of specc's own whose images are in one of the places."""
    return [name for name, info in INFO.own.items() if info.kept in places]


_OWN = (
    DatasetInfo("digits", (1, 8, 8), 10, _HALF1, _HALF1, 1_437, 360),
    DatasetInfo("mnist", (1, 28, 28), 10, _HALF1, _HALF1, 60_000, 10_000),
    DatasetInfo("fashion_mnist", (1, 28, 28), 10, _HALF1, _HALF1, 60_000, 10_000),
    DatasetInfo("cifar10", (3, 32, 32), 10, _CIFAR_MEAN, _CIFAR_STD, 50_000, 10_000),
    DatasetInfo("svhn", (3, 32, 32), 10, _HALF3, _HALF3, 73_257, 26_032),
    DatasetInfo("stl10", (3, 96, 96), 10, _HALF3, _HALF3, 5_000, 8_000),
    DatasetInfo("imagenet", (3, 224, 224), 1_000, _IMAGENET_MEAN, _IMAGENET_STD, 1_281_167, 50_000, "folder"),
    DatasetInfo("image_folder", None, None, _IMAGENET_MEAN, _IMAGENET_STD, None, None, "folder", foldered=True),
    DatasetInfo("label_folder", None, None, _IMAGENET_MEAN, _IMAGENET_STD, None, None, "folder", ("multi_label",)),
    DatasetInfo("mask_folder", None, None, _IMAGENET_MEAN, _IMAGENET_STD, None, None, "folder", ("map",)),
    DatasetInfo("tar_folder", None, None, _IMAGENET_MEAN, _IMAGENET_STD, None, None, "folder"),
    DatasetInfo("cityscapes", (3, 1024, 2048), 19, _IMAGENET_MEAN, _IMAGENET_STD, 2_975, 500, "folder", ("map",)),
    DatasetInfo("voc", None, 21, _IMAGENET_MEAN, _IMAGENET_STD, None, 1_449, "folder", ("map",)),
    DatasetInfo("synthetic", None, None, (), (), None, None, "made", ("class", "multi_label", "map"), holds=_BOTH),
    DatasetInfo("module", None, None, (), (), None, None, "own", _ANY, holds=_BOTH),  # what a function of a file makes
    DatasetInfo("given", None, None, (), (), None, None, "own", _ANY, holds=_BOTH),  # handed over from Python
)
INFO = Registry("dataset", DatasetInfo, {info.name: info for info in _OWN})
