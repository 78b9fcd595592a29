"""`data.augment` as a list: torchvision's transforms, drawn for each image from (seed, epoch, sample index)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runtime.data.arrays import Arrays, Augmenting, CropFlip
from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.errors import DataError, described
from runtime.named import named
from specc.spec.augmentations import Augmentation, Mixing
from specc.tasks.datasets import ResolvedData
from specc.tasks.segmentation import IGNORED

_WHITE = 255  # what torchvision takes for 1.0
_TRIALS = 8  # enough for most of what is done to half of the images


def augmentation_of(config: DataConfig, info: ResolvedData, paper: CropFlip, peak: int = _WHITE) -> Augmenting:
    """What is done to the images of a data set that lies in memory; `paper` is its `augment: paper`."""
    return pipeline_of(config, info, peak) or (paper if config.augment == "paper" else CropFlip())


def pipeline_of(config: DataConfig, info: ResolvedData, peak: int = _WHITE) -> Pipeline | None:
    """The list of the spec, if it is one; `DataError` where it cannot be done to images of this size."""
    if isinstance(config.augment, str):
        return None
    chosen = [(step.name, step.augmentation) for step in config.augment]
    steps = tuple(_made(name, each, info) for name, each in chosen if not isinstance(each, Mixing))
    found = Pipeline(steps, any(name == "random_resized_crop" for name, _ in chosen), peak)
    truth = torch.zeros(info.image_size, dtype=torch.uint8) if config.learns.kind == "map" else 0
    for index in range(_TRIALS):
        found(torch.zeros(info.shape, dtype=torch.uint8), truth, index, Draws(0, 0))
    return found


Transform = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    transform: Transform
    of_numbers: Transform  # the same for pixels in 0..1, of images that have more than 8 bits
    moves: bool

    def __call__(self, image: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The image, and the mask where pixels go elsewhere."""
        transform = self.of_numbers if image.is_floating_point() else self.transform
        try:
            if self.moves and mask is not None:
                return transform(image, mask)  # type: ignore[no-any-return]
            return transform(image), mask
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            what = f"`{self.name}` of `data.augment` cannot be done to images of {tuple(image.shape)}: "
            raise DataError(what + described(error), help=["other arguments, or larger images"]) from error


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Transforms one after the other; `whole`: they take images of any size, and make them as large as asked for.

    The draws are torch's own, from a generator that is seeded for every sample, and nobody else's go another way.
    """

    steps: tuple[_Step, ...]
    whole: bool = False
    peak: int = _WHITE

    def __call__(self, image: Tensor, truth: Any, index: int, draws: Draws) -> tuple[Tensor, Any]:
        """An image (channels, height, width) of bytes, the sample `index`, and what is known of it: perhaps a mask."""
        from torchvision import tv_tensors

        is_mask = isinstance(truth, Tensor | np.ndarray) and truth.ndim == 2
        mask: Any = tv_tensors.Mask(torch.as_tensor(truth)) if is_mask else None
        changed: Any = tv_tensors.Image(self._scaled(image, _WHITE / self.peak))
        with _seeded(int(draws.bits(np.array([index]), "augment")[0])):
            for step in self.steps:
                changed, mask = step(changed, mask)
        pixels = self._scaled(changed.as_subclass(Tensor), self.peak / _WHITE)
        return pixels.contiguous(), mask.as_subclass(Tensor).contiguous() if is_mask else truth

    def of(self, batch: Arrays, indices: Indices, draws: Draws) -> Arrays:
        """See `Augmenting.of`."""
        samples = zip(map(torch.from_numpy, batch.images), batch.labels, map(int, indices), strict=True)
        done = [self(image, truth, index, draws) for image, truth, index in samples]
        return Arrays(np.stack([image.numpy() for image, _ in done]), np.stack([truth for _, truth in done]))

    def _scaled(self, image: Tensor, factor: float) -> Tensor:
        """Bytes whose white is another number; back and forth gives the same bytes where white becomes larger first."""
        return image if factor == 1 else (image * factor).round().clamp(0, 255).to(torch.uint8)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's own draws begin at a seed; afterwards they go on where they were."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


def _made(name: str, augmentation: Augmentation, info: ResolvedData) -> _Step:
    """torchvision's transform under the arguments of the spec."""
    make: Callable[..., Transform] = named(augmentation.torch, f"the augmentation `{name}`")
    of_bytes, of_numbers = (make(**_arguments(augmentation, info, white)) for white in (_WHITE, 1.0))
    return _Step(name, of_bytes, _in_bytes(of_bytes) if augmentation.eight_bits else of_numbers, augmentation.moves)


def _arguments(augmentation: Augmentation, info: ResolvedData, white: float) -> dict[str, Any]:
    """As torchvision knows them, for images with this white."""
    from torchvision import tv_tensors
    from torchvision.transforms import AutoAugmentPolicy, InterpolationMode

    arguments = augmentation.arguments(info)
    for key, kind in {"interpolation": InterpolationMode, "policy": AutoAugmentPolicy}.items():
        if key in arguments:
            arguments[key] = kind(arguments[key])
    if white != _WHITE:
        scaled = {key: arguments[key] for key in augmentation.levels if key in arguments}
        arguments |= {key: _times(value, white / _WHITE) for key, value in scaled.items()}
    if augmentation.moves and "fill" in arguments:  # what comes into a mask from outside does not count
        arguments["fill"] = {tv_tensors.Image: arguments["fill"], tv_tensors.Mask: IGNORED}
    return arguments


def _times(level: Any, factor: float) -> Any:
    return [each * factor for each in level] if isinstance(level, list) else level * factor


def _in_bytes(transform: Transform) -> Transform:
    """A transform of bytes for pixels in 0..1."""
    from torchvision.transforms.v2 import functional

    def changed(image: Tensor) -> Tensor:
        found = transform(functional.to_dtype(image, torch.uint8, scale=True))
        again: Tensor = functional.to_dtype(found, image.dtype, scale=True)
        return again

    return changed
