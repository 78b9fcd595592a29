"""The data sets that a function gives back, or that are handed over: which of them is for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler, default_collate

from specc.tasks.inputs import Parts, packed, told
from specc.tasks.own.facts import Facts, Numbers

from ...own_code import CodeError, called, raised
from ..errors import DataError
from .samples import SampleError, as_sample, sample_of
from .several import Inputs, NoInputs, are_several, parts_in, rows

Role = Literal["train", "validation", "test"]
Collate = Callable[[list[Any]], Any]
_ROLES: dict[str, Role] = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test",
}  # fmt: skip
_BY_LENGTH: dict[int, tuple[Role, ...]] = {
    1: ("train",), 2: ("train", "test"), 3: ("train", "validation", "test"),
}  # fmt: skip
_FORM = (
    "a data set; or those for train, validation and test by these names; or (train, test), (train, validation, test)"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one sample says."""

    shape: tuple[int, ...]
    pixels: Numbers
    truth: tuple[int, ...]
    whole: bool
    unit: bool = True
    parts: Parts = ()

    @property
    def told(self) -> str:
        """In words."""
        facts = Facts(self.shape, self.pixels, self.truth, self.whole, 1)
        if self.parts:
            return f"{told(self.parts)} with {facts.told}"
        return f"{'×'.join(map(str, self.shape))} {self.pixels} with {facts.told}"


def pixels_of(sample: Tensor) -> Numbers:
    """What a sample is made of."""
    if sample.dtype == torch.int64:
        return "tokens"
    return "floats" if sample.is_floating_point() else "bytes"


@dataclass(frozen=True, slots=True)
class Set:
    """One data set: `data[i]` are its samples, which a loader may put together by a function of its own."""

    data: Any
    role: Role
    maker: str  # who made it: `make_datasets` of data.py
    file: str = ""
    collate: Collate | None = None
    workers: int = 0
    batch_size: int | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def called(self) -> str:
        """As it is spoken of."""
        return {"train": "the training data", "validation": "the validation data", "test": "the test data"}[self.role]

    def raw(self, index: int) -> Any:
        """A sample as the code gives it; raises `DataError` with the line of what it raises."""
        try:
            return called(self.file, f"sample {index} of {self.called} ({self.maker})", lambda: self.data[index])
        except CodeError as error:
            raise DataError(str(error), ["the exception is the data set's own: mend it there"], "SPC608") from error

    def sample(self, index: int) -> tuple[Tensor | Inputs, Tensor]:
        """A sample (channels, height, width), or of several inputs, and what is known of it; raises `DataError`."""
        return self.read(self.raw(index), index)

    def read(self, raw: Any, index: int) -> tuple[Tensor | Inputs, Tensor]:
        """What the code gives as a sample."""
        try:
            return sample_of(raw)
        except SampleError as error:
            raise self.wrong(index, str(error), error.help) from error

    def collated(self, samples: list[Any]) -> Iterator[tuple[Any, Tensor]]:
        """The samples of a batch that the loader's own function has put together."""
        assert self.collate is not None
        try:
            images, truths = as_sample(self.collate(samples))
            images = list(rows(images, len(samples))) if are_several(images) else torch.as_tensor(images)
            truths = torch.as_tensor(truths)
        except (SampleError, TypeError, ValueError, RuntimeError) as error:
            what = f"what `collate_fn` makes of {self.called} is no batch of samples and labels: "
            raise DataError(what + raised(error, self.file), code="SPC608") from error
        if len(images) != len(samples) or len(truths) != len(samples):
            what = f"`collate_fn` makes {len(images)} inputs and {len(truths)} labels of {len(samples)} samples"
            raise DataError(what, ["a batch has a label for every sample"], "SPC608")
        return zip(images, truths, strict=True)

    def asked(self) -> Asked:
        """What the first sample says."""
        raw = self.raw(0)
        image, truth = self.read(next(self.collated([raw])) if self.collate else raw, 0)
        if not isinstance(image, Tensor):
            return self._of_several(image, truth)
        floats = image.is_floating_point()
        return Asked(
            tuple(image.shape), pixels_of(image), tuple(truth.shape), not truth.is_floating_point(),
            not floats or bool(((image >= 0) & (image <= 1)).all()),
        )  # fmt: skip

    def _of_several(self, inputs: Inputs, truth: Tensor) -> Asked:
        try:
            parts = parts_in(inputs)
        except NoInputs as error:
            raise self.wrong(0, str(error), error.help) from None
        whole = not truth.is_floating_point()
        return Asked(packed(parts), "floats", tuple(truth.shape), whole, unit=False, parts=parts)

    def wrong(self, index: int, what: str, help: Sequence[str] = ()) -> DataError:
        """A sample that cannot be trained on."""
        return DataError(f"sample {index} of {self.called} ({self.maker}) {what}", help, "SPC608")


@dataclass(frozen=True, slots=True)
class Sets:
    """The data sets, the one to train on first."""

    parts: tuple[Set, ...]

    def part(self, role: Role) -> Set | None:
        """The one that is for something."""
        return next((part for part in self.parts if part.role == role), None)


def sets_of(found: Any, maker: str, file: str = "") -> Sets:
    """The data sets in what code gives back; raises `DataError`."""
    named = _by_role(found, maker)
    parts = [_set(data, role, maker, file) for role in ("train", "validation", "test") if (data := named.get(role))
             is not None]  # fmt: skip
    if not parts or parts[0].role != "train":
        raise DataError(f"{maker} gives no data set to train on", [f"it is to give {_FORM}"], "SPC608")
    return Sets(tuple(parts))


def _by_role(found: Any, maker: str) -> dict[Role, Any]:
    if isinstance(found, Mapping):
        if unknown := [str(key) for key in found if key not in _ROLES]:
            what = f"{maker} gives a data set for `{unknown[0][:40]}`"
            raise DataError(what, ["there are those for train, validation and test"], "SPC608")
        by_role = [(_ROLES[key], data) for key, data in found.items() if data is not None]
        if len(dict(by_role)) < len(by_role):
            raise DataError(f"{maker} gives two data sets for the same", [f"it is to give {_FORM}"], "SPC608")
        return dict(by_role)
    if isinstance(found, tuple | list):
        if len(found) not in _BY_LENGTH:
            raise DataError(f"{maker} gives {len(found)} data sets", [f"it is to give {_FORM}"], "SPC608")
        return dict(zip(_BY_LENGTH[len(found)], found, strict=True))
    return {"train": found}


def _set(found: Any, role: Role, maker: str, file: str) -> Set:
    own = Set(found, role, maker, file)
    if isinstance(found, DataLoader):
        _check_order(own, found)
        collate = None if found.collate_fn is default_collate else found.collate_fn
        own = Set(found.dataset, role, maker, file, collate, found.num_workers, found.batch_size)
    _check_map_style(own)
    return own


def _check_order(part: Set, loader: DataLoader[Any]) -> None:
    """A run is gone on with from any step, so its order is specc's own: shuffled, of all samples once."""
    plain = type(loader.sampler) in (SequentialSampler, RandomSampler) and not getattr(loader.sampler, "replacement", 0)
    if loader.batch_size is None or not plain:
        what = f"the loader of {part.called} has a sampler of its own, {type(loader.sampler).__name__}"
        help = [
            "specc draws the order itself, from the seed: hand over its `dataset`",
            "or train in a loop of your own",
        ]
        raise DataError(what, help, "SPC608")


def _check_map_style(part: Set) -> None:
    help = ["a data set has `__getitem__` and `__len__`: torch.utils.data's map-style `Dataset`"]
    if isinstance(part.data, IterableDataset) or not (
        hasattr(part.data, "__getitem__") and hasattr(part.data, "__len__")
    ):
        what = f"{part.called} that {part.maker} gives, a {type(part.data).__name__}, cannot be asked for sample i"
        raise DataError(what, help, "SPC608")
    size = called_length(part)
    if size < 1:
        help = ["leave an empty part away"] if part.role != "train" else []
        raise DataError(f"{part.called} that {part.maker} gives has no samples", help, "SPC608")


def called_length(part: Set) -> int:
    """How many samples there are, as the code says; raises `DataError` with the line of what it raises."""
    try:
        return called(part.file, f"`len` of {part.called} ({part.maker})", lambda: len(part.data))
    except CodeError as error:
        raise DataError(str(error), code="SPC608") from error
