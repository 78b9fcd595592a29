"""Labels written into images, for Forward-Forward (Hinton 2022, 2212.13345, section 3.3).

The first `classes` pixels of an image, row by row and in every channel, hold its label: 1 at the label and 0 elsewhere;
1 / classes everywhere when there is none. A step sees every image in three views, one after the other in the batch:
without a label, with the right one, with a wrong one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def without_label(images: Tensor, classes: int, mean: Tensor, std: Tensor) -> Tensor:
    """A copy of (N, C, H, W) normalised images that say nothing about their labels; `mean` and `std` (1, C, 1, 1)."""
    marks = torch.full((len(images), classes), 1 / classes, dtype=images.dtype, device=images.device)
    return _write(images.clone(), marks, mean, std)


def label_views(images: Tensor, labels: Tensor, classes: int, mean: Tensor, std: Tensor, first: int = 0) -> Tensor:
    """The (3N, C, H, W) views of (N, C, H, W) images: without a label, with the right one, with a wrong one.

    `first` is the place of the first image in the batch that these are a slice of.
    """
    right, wrong = (F.one_hot(x, classes).to(images.dtype) for x in (labels, wrong_labels(labels, classes, first)))
    marks = torch.cat([torch.full_like(right, 1 / classes), right, wrong])
    return _write(images.repeat(3, *(1 for _ in images.shape[1:])), marks, mean, std)


def wrong_labels(labels: Tensor, classes: int, first: int = 0) -> Tensor:
    """Another class for every sample. Which one depends on its place in the batch, which the shuffling draws anew."""
    place = first + torch.arange(len(labels), device=labels.device)
    return (labels + 1 + place % (classes - 1)) % classes


def select(out: Tensor, target: str, samples: int) -> Tensor:
    """The rows of a head's output that its loss has targets for; of `samples` images, or of their three views."""
    if target == "images" or len(out) == samples:
        return out
    return out[samples:] if target == "pairs" else out[:samples]


def _write(images: Tensor, marks: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    pixels = images.flatten(2)
    pixels[:, :, : marks.shape[1]] = (marks[:, None, :] - mean.flatten(2)) / std.flatten(2)
    return images
