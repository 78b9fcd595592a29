"""Images with one label each in tar files, as WebDataset writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runtime.data.config import DataConfig
from runtime.data.errors import DataError, missing, parsed
from runtime.data.folder import Parts, folder_splits
from runtime.data.scan import is_image
from runtime.data.splits import Splits
from runtime.data.tars import Entry, Member, entries
from specc.tasks.datasets import ResolvedData
from specc.tasks.folders import VALIDATION, FolderError, Layout, listed, parts_in

LAYOUT = "train/*.tar and the same in val/ or test/, or *train*.tar and *val*.tar"
_PARTS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(VALIDATION, "validation")
_CODE = "SPC643"
_HELP = "a sample is two files of one name, such as `0001.jpg` and `0001.cls`, which holds the number of its class"
Shards = dict[str, list[str]]  # tar files by the part of the data set that they are
Labelled = tuple[Member, int]


def tar_folder(config: DataConfig, info: ResolvedData) -> Splits:
    """Your own images in tar files: `train/*.tar` and the same in `val/` or `test/`, or `*train*.tar` and `*val*.tar`.

    As WebDataset has them: `0001.jpg` and beside it `0001.cls`, which holds the number of its class. They are read
    where they lie, in any order, so tar files are not packed.
    """
    left: list[str] = []
    found = {
        part: [each for path in paths for each in _samples(path, info, left)] for part, paths in _shards(config).items()
    }
    if empty := next((part for part, samples in found.items() if not samples), None):
        raise DataError(f"the tar files for the {empty} in {config.folder} have no images", [_HELP], _CODE)
    remarks = (
        [f"{len(left):,} samples are left out, as none of their files is an image: {listed(left)}"] if left else ()
    )
    return folder_splits(config, info, Parts(**found), remarks)


def _shards(config: DataConfig) -> Shards:
    """The tar files of each part, in the order of their names."""
    root = config.folder
    try:
        layout = parts_in(root)
    except FolderError as error:
        raise DataError(str(error), error.help) from error
    found = _by_folder(layout) if layout else _by_name(root, _tars(root))
    if not found.get("train"):
        raise missing(config.dataset, [root / "train" / "*.tar", root / "*train*.tar"], layout=LAYOUT, download=False)
    return found


def _by_folder(layout: Layout) -> Shards:
    folders = {"train": layout.train, "test": layout.test, "validation": layout.validation}
    return {part: _tars(folder) for part, folder in folders.items() if folder is not None}


def _by_name(root: Path, paths: Sequence[str]) -> Shards:
    """By a word in their names; where none has one they are all to train on, where none is a test's validation is."""
    said = {path: {_PARTS[word] for word in _words(path) if word in _PARTS} for path in paths}
    if not any(said.values()):
        return {"train": list(paths)}
    if unclear := [Path(path).name for path, parts in said.items() if len(parts) != 1]:
        what = f"{root} has tar files of which it cannot be told what they are for: {listed(unclear)}"
        raise DataError(what, [f"the layout is {LAYOUT}"], _CODE)
    found = {part: [path for path in paths if part in said[path]] for part in sorted(set.union(*said.values()))}
    return found if "test" in found or "validation" not in found else found | {"test": found.pop("validation")}


def _words(path: str) -> list[str]:
    return re.split(r"[^a-z]+", Path(path).stem.lower())


def _tars(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.glob("*.tar")) if folder.is_dir() else []


def _samples(path: str, info: ResolvedData, left: list[str]) -> Iterator[Labelled]:
    """The images of a tar file with their classes; the names of samples without one go into `left`."""
    try:
        grouped = list(_grouped(path, parsed(path, lambda: list(entries(path)))))
    except (OSError, ValueError) as error:
        help = ["put a whole one in its place, or remove it", _HELP]
        raise DataError(f"{path} cannot be read: {error.args[0] if error.args else error}", help, _CODE) from error
    for sample in grouped:
        image = next((each for kind, each in sample.items() if isinstance(each, Entry) and is_image(f"x.{kind}")), None)
        if image is None:
            left.append(f"{path}/{sample['__key__']}")
        else:
            yield Member.of(path, image.name, image.first, image.size), _class(path, sample, info)


def _grouped(path: str, found: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Files by samples, as WebDataset does it: those in succession whose names are the same up to the first dot."""
    try:
        from webdataset.tariterators import group_by_keys  # late: an extra
    except ImportError as error:
        raise DataError("tar files need a further package", ["pip install 'specc[tar]'"]) from error
    yield from group_by_keys({"fname": each.name, "data": each, "__url__": path} for each in found)


def _class(path: str, sample: dict[str, Any], info: ResolvedData) -> int:
    said = sample.get("cls")
    if said is None:
        raise DataError(f"{path}: the sample `{sample['__key__']}` has no `.cls`", [_HELP], _CODE)
    if not said.label.isdecimal() or int(said.label) >= info.classes:
        what = f"{path}: {said.name} holds {said.label!r}, which is no class from 0 to {info.classes - 1}"
        raise DataError(what, ["`data.classes` is how many there are", _HELP], _CODE)
    return int(said.label)
