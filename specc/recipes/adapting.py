"""A recipe for the reader: complete in one file, with comments, and for images of the reader's own where there are any.

What cannot stay, as the images are others, is replaced or left out; each time a comment says what it was and why.
"""

from __future__ import annotations

import os
import re
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..language.schema import exact_bytes, parse_bytes, show_bytes
from ..spec.lookup import keys_of
from ..spec.models import SpecModel
from ..tasks.datasets import INFO
from .catalogue import IMAGES, Recipe
from .comments import authors, described
from .own_images import TASKS, Kind, OwnImages
from .writing import Writer, commented

At = tuple[str | int, ...]
_STEPS = 4  # of an epoch, at least: fewer say little
_FEWEST = 8  # images a step
_SIDE = 32  # pixels: below that hardly anything of a photograph is seen
_DOWNLOADED = ("mnist", "fashion_mnist", "cifar10", "svhn", "stl10")
_OF_ITS_OWN = {  # keys of `data` that say something of the recipe's own images
    "resplit": "folders of images cannot be split anew",
    "download": "there is nothing to fetch",
    "mean": "it was that of other images",
    "std": "it was that of other images",
    "samples": "images are counted",
    "ignore_index": "it was that of other masks",
}
EDITOR = (
    "yaml-language-server: $schema=spec.schema.json",
    "(written by `specc schema > spec.schema.json`: your editor then completes and checks keys)",
    "",
)


@dataclass
class Draft:
    """A spec on its way: its document, what is said of single keys, and what was changed."""

    recipe: Recipe
    document: dict[str, Any]
    remarks: dict[At, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    head: str = ""

    def put(self, value: Any, remark: str, *path: str) -> None:
        """Say something else than the recipe does, and why."""
        inner = self.document
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
        self.remarks[path] = remark

    def get(self, *path: str) -> Any:
        """What is said now; None where nothing is."""
        inner: Any = self.document
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        return inner

    def without(self, section: str) -> Draft:
        """The same without a section."""
        return replace(self, document={key: value for key, value in self.document.items() if key != section})

    @property
    def text(self) -> str:
        """The spec, with comments: the draft's own, its authors', and those of the reference."""
        theirs = authors(self.recipe.tree)

        def remark(path: At) -> str:
            if path in self.remarks:
                return self.remarks[path]
            if path in theirs.beside:
                return theirs.beside[path]
            return _brief(described(path, self.document)) if len(path) < 3 else ""

        body = Writer(remark, lambda path: theirs.after.get(path, [])).text(self.document)
        return "\n".join(commented("\n".join([*EDITOR, self.head]))) + f"\n{body}"


def _brief(text: str) -> str:
    """A description as far as it is needed beside a value: what comes after a semicolon is detail.

    >>> _brief("the heads of every unit; where the key is left out, one `classifier`")
    'the heads of every unit'
    """
    return re.split(r"; |: `|, like `", text, maxsplit=1)[0]


def for_its_own_data(recipe: Recipe, file: Path) -> Draft:
    """The recipe as it is, in one file."""
    draft = _draft(recipe, file)
    root = draft.get("data", "root")
    if root is not None:
        draft.document["data"]["root"] = re.sub(r":-(\.\./)+", ":-", root)
    if draft.get("data", "dataset") in _DOWNLOADED:
        draft.put(False, "`true` fetches the data set into `root` when it is missing", "data", "download")
    draft.head = f"{recipe.about}\n\n{_keys_help()}"
    return draft


def for_images(recipe: Recipe, images: OwnImages, file: Path) -> Draft:
    """The recipe for images of the reader's own."""
    draft = _draft(recipe, file)
    if recipe.name == IMAGES:
        draft.head = recipe.about
    else:
        draft.head = (
            f"{recipe.name} for your images in {images.root}, {images.measured}. The recipe says of itself:\n\n"
        )
        draft.head += f"{recipe.about}\n\n"
    _describe_data(draft, images, file)
    _smaller_batches(draft, images)
    _epochs(draft, images)
    if recipe.name != IMAGES:
        draft.head += "\n".join([_changes(draft), "", _keys_help()])
    return draft


def kind_of(recipe: Recipe) -> Kind:
    """The kind of folder that the recipe's task learns from."""
    return TASKS[recipe.tree.data.get("task", "classification")]


def _draft(recipe: Recipe, file: Path) -> Draft:
    """The recipe's document, its sections in the order of the reference, under a name of its own."""
    written = {**deepcopy(recipe.tree.data), "name": named(file, recipe.name)}
    return Draft(recipe, {key: written[key] for key in keys_of(SpecModel) if key in written})


def named(file: Path, other: str) -> str:
    """The file's name as that of a spec."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", file.stem).lstrip("_.-") or other


def _keys_help() -> str:
    return "`specc explain KEY` explains a key, `specc explain CODE` a message."


# ----------------------------------------------------------------------------------------------- what has to change


def _describe_data(draft: Draft, images: OwnImages, file: Path) -> None:
    before, native = draft.document["data"], _native(draft)
    size = _size(native, images)
    was = before["dataset"]
    rest = {key: value for key, value in before.items() if key not in ("dataset", "root", "image_size", "channels")}
    for key in [key for key in rest if key in _OF_ITS_OWN]:
        value = rest.pop(key)
        draft.gone.append(f"data.{key}: {str(value).lower()} ({_OF_ITS_OWN[key]})")
    draft.document["data"] = {}
    draft.put(images.kind, f"{f'{was} in the recipe; ' if was != images.kind else ''}{images.told}", "data", "dataset")
    draft.put(os.path.relpath(images.root, file.parent), "seen from this file", "data", "root")
    draft.put(images.classes, _counted(images), "data", "classes")
    made_for = "larger images are resized" if draft.recipe.name == IMAGES else _made_for(native, size)
    draft.put(size, f"pixels, {made_for}; yours are {images.measured}", "data", "image_size")
    if images.grey:
        draft.put(1, "read in grey, as they are", "data", "channels")
    draft.document["data"] |= rest
    if rest.get("augment") == "paper":
        kind = "a part of the image at random, resized, and mirrored" if images.kind == "image_folder" else None
        draft.remarks["data", "augment"] = f"{kind or 'scaled by half to double, cropped, mirrored'} (`none`: as it is)"


def _counted(images: OwnImages) -> str:
    return (
        "the folders; a class more or less is noticed" if images.names else "the largest value in some masks, plus one"
    )


def _native(draft: Draft) -> list[int]:
    """Height and width of what the recipe trains on."""
    size = draft.get("data", "image_size")
    if size is None:
        shape = INFO[draft.recipe.dataset].shape
        size = list(shape[1:]) if shape else _SIDE
    return [size, size] if isinstance(size, int) else list(size)


def _size(native: list[int], images: OwnImages) -> int | list[int]:
    """The size that the recipe is made for, or a multiple of it where that is tiny and the images are not."""
    height, width = native
    if height != width:
        return [height, width]
    seen = min(images.side, _SIDE)
    return height * (seen // height) if seen >= 2 * height else height


def _made_for(native: list[int], size: int | list[int]) -> str:
    return "as in the recipe" if size in (native[0], native) else f"{native[0]} in the recipe"


def _smaller_batches(draft: Draft, images: OwnImages) -> None:
    """Several steps an epoch, at a rate that fits them."""
    batch = draft.get("data", "batch_size") or 64
    most = max(_FEWEST, images.training // _STEPS)
    if batch <= most:
        return
    fewer = 1 << (most.bit_length() - 1)
    steps = -(-images.training // batch)
    few = f"{steps} step{'s' * (steps != 1)} an epoch with your {images.training:,} images"
    draft.put(fewer, f"{batch} in the recipe, {few}", "data", "batch_size")
    optimizer = draft.get("train", "optimizer")
    if optimizer and "lr" in optimizer:
        lr = optimizer["lr"]
        optimizer["lr"] = _rounded(lr * fewer / batch)
        draft.remarks["train", "optimizer"] = f"lr: {lr:g} in the recipe, for {batch // fewer} times as large batches"
    schedule = draft.get("train", "schedule")
    if schedule and "min_lr" in schedule:
        schedule["min_lr"] = _rounded(schedule["min_lr"] * fewer / batch)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _epochs(draft: Draft, images: OwnImages) -> None:
    epochs, batch = draft.get("train", "epochs") or 1, draft.get("data", "batch_size") or 64
    steps = f"{epochs * -(-images.training // batch):,} steps with your images"
    known = INFO[draft.recipe.dataset].train_size if draft.recipe.dataset in INFO else None
    if draft.recipe.name != IMAGES:
        there = draft.recipe.tree.data["data"].get("batch_size", 64)
        was = f", {epochs * -(-known // there):,} with the recipe's" if known else ""
        draft.remarks["train", "epochs"] = f"as in the recipe: {steps}{was}"


def budgeted(draft: Draft, peak: int) -> None:
    """Keep the budget where a step fits, and raise it where none would: to the next quarter of its power of two."""
    written = draft.get("budget", "memory")
    if written is None:
        return
    limit = parse_bytes(written)
    told = f"a step of this spec is predicted to take {show_bytes(peak)}"
    if peak <= limit:
        draft.remarks["budget", "memory"] = told
        return
    step = 1 << max(20, (peak * 9 // 8).bit_length() - 3)
    draft.put(exact_bytes(-(-(peak * 9 // 8) // step) * step), f"{written} in the recipe; {told}", "budget", "memory")


def _changes(draft: Draft) -> str:
    """What is not as it was."""
    changed = [".".join(map(str, path)) for path in draft.remarks if path[-1] not in ("epochs", "augment", "memory")]
    lines = [f"Changed for your images: {', '.join(changed)}."]
    if draft.gone:
        lines.append(f"Left out: {'; '.join(draft.gone)}.")
    return "\n".join(lines)
