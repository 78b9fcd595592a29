"""`specc predict`: what a run's network says of images in files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specc.diagnostics.notices import counted, doing
from specc.tasks.registry import TASKS

from ..data import DataError, Loader
from ..data.single import image_paths, one_image
from ..errors import RunError
from .trained import Trained, explained, finite

# What is told of each class, by what the task knows of a sample: (N, classes) out of what the network gives.
SHARES: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "class": ("probability", lambda outputs: outputs.softmax(1)),
    "multi_label": ("probability", torch.sigmoid),
    "map": ("part", lambda outputs: _parts(outputs.argmax(1), outputs.shape[1])),  # of the pixels
}


def _parts(told: Tensor, classes: int) -> Tensor:
    """How large a part of the pixels of each image is of each class."""
    return torch.stack([each.flatten().bincount(minlength=classes) / each.numel() for each in told])


def predict(who: Trained, given: Iterable[Path], top: int) -> Iterator[dict[str, Any]]:
    """For every image a document with its `top` classes; one that cannot be read has an `error` instead, and `help`."""
    task = TASKS[who.plan.config.task]
    if who.plan.data.vocabulary:
        text = f"what the task `{task.name}` learns is of tokens, and files hold images"
        raise RunError(text, ("`Session.predict` tells it of tokens, from Python", "see `specc evaluate`"))
    if task.kind not in SHARES:
        raise RunError(
            f"what the task `{task.name}` learns cannot be told of images in files", ("see `specc evaluate`",)
        )
    paths = iter(image_paths(given))
    while batch := list(islice(paths, who.plan.config.together)):
        with doing("looking at the images") as so_far:  # and at the end of it, as what is found is written out
            some = counted(batch, so_far, len(batch))
            read = [path if isinstance(path, DataError) else _read(who, path) for path in some]
            images = [image for image in read if isinstance(image, Tensor)]
            told = iter([*_told(who, torch.cat(images), top)] if images else ())
        for path, found in zip(batch, read, strict=True):
            name = {} if isinstance(path, DataError) else {"image": path}
            if isinstance(found, DataError):
                yield name | {"error": str(found), "help": list(found.help)}
            else:
                yield name | {"classes": next(told)}


def _read(who: Trained, path: str) -> Tensor | DataError:
    """One image, normalised, where the network is."""
    session, task = who.session, TASKS[who.plan.config.task]
    try:
        split = one_image(who.plan.data, task, path)
        loader = Loader(split, 1, seed=0, train=False, device=session.device, memory_format=session.model.memory_format)
        return next(loader.epoch(0))[0]
    except DataError as error:
        return error


def _told(who: Trained, images: Tensor, top: int) -> Iterator[list[dict[str, Any]]]:
    """The most likely classes of each image, the first one first."""
    what, shares = SHARES[TASKS[who.plan.config.task].kind]
    with explained():
        found = shares(finite(who.session.predict(images).float(), who)).cpu()
    for row in found:
        values, numbers = row.sort(descending=True, stable=True)
        first = zip(values[:top].tolist(), numbers[:top].tolist(), strict=True)
        yield [{"class": who.plan.data.class_name(number), what: value} for value, number in first]
