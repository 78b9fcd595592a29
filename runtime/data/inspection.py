"""A look at every image of a folder before the first epoch: what cannot be read, and how large the others are.

An image that was read to its end is known by its size and time from then on, in the user's cache.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from runtime.data.decoding import measure
from runtime.data.errors import DataError
from runtime.data.folder import FolderSplit
from runtime.data.splits import Split, Splits, beneath
from runtime.data.tars import stated
from runtime.data.workers import loading, worker_failures
from specc.diagnostics.notices import counted, doing
from specc.system import files
from specc.system.environment import cache_folder
from specc.tasks.datasets import ResolvedData

_MOST = 1 << 28  # bytes of a file of the cache: of some million images

State = list[int]  # size and time of a sample's files
Place = tuple[FolderSplit, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """A sample: its name, what is known of it, and its image's width and height, or why there is none."""

    name: str
    truth: Any
    width: int = 0
    height: int = 0
    error: str = ""


def inspect(splits: Splits) -> list[Seen]:
    """Every sample that lies in a folder; nothing of data sets that do not."""
    places = {name: (split, i) for split in folders_of(splits) for i, name in enumerate(split.names)}
    if not places:
        return []
    cache = _Cache.of(next(iter(places.values()))[0])
    known, states = cache.read(), {name: _state(*place) for name, place in places.items()}
    fresh = [name for name, state in states.items() if not state or known.get(name, [])[:-2] != state]
    with doing("looking at the images") as so_far:
        looks = counted(_looked([places[name] for name in fresh]), so_far, len(fresh))
        sizes = dict(zip(fresh, looks, strict=True))
    whole = {name: [*known[name]] for name in states if name not in sizes}
    whole |= {name: [*(states[name] or []), *size] for name, size in sizes.items() if not isinstance(size, DataError)}
    if whole != known:
        cache.write(whole)
    return [_seen(name, split.samples[i][1], sizes.get(name), whole) for name, (split, i) in places.items()]


def _seen(name: str, truth: Any, size: object, whole: dict[str, State]) -> Seen:
    if isinstance(size, DataError):
        return Seen(name, truth, error=str(size))
    *_, width, height = whole[name]
    return Seen(name, truth, width, height)


def folders_of(splits: Splits) -> list[FolderSplit]:
    """The splits of files, before anything was held out or mixed."""
    parts: Iterable[Split | None] = (splits.train, splits.validation, splits.test)
    whole = [beneath(part) for part in parts if part is not None]
    return list({id(split): split for split in whole if isinstance(split, FolderSplit)}.values())


def hash_of_names(splits: Splits, without: Collection[str] = ()) -> str:
    """A hash of the files' names in the order of the samples; empty of a data set that lies in no folder."""
    names = [name for split in folders_of(splits) for name in split.names if name not in without]
    return blake2b("\n".join(names).encode(errors="surrogateescape"), digest_size=16).hexdigest() if names else ""


def check_same(info: ResolvedData, splits: Splits) -> None:
    """Raise `DataError` where other files are there than those that a run began with: its order would be another."""
    if info.files and splits.info.files:
        if info.files != splits.info.files:
            what = "the code that makes the data is not what the run began with"
            raise DataError(what, help=["put the file back as it was, or start a new run"])
    elif info.files not in ("", hash_of_names(splits)):
        raise DataError(
            f"the images of `{info.name}` are not those that the run began with: some came, went or were renamed",
            help=["put them back as they were, or start a new run"],
        )


def _state(split: FolderSplit, index: int) -> State | None:
    """Size and time of the sample's files; None where one of them is not there."""
    try:
        states = [stated(path) for path in split.samples[index] if isinstance(path, str)]
    except (OSError, ValueError):
        return None
    return [number for state in states for number in (state.st_size, state.st_mtime_ns)]


class _Looks(Dataset[Any]):
    """The width and height of each sample's image, which can be read as for an evaluation; or why it cannot."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> tuple[int, int] | DataError:
        split, index = self.places[place]
        path, truth = split.samples[index]
        try:
            size = measure(path)
            split.read(split.info, path, truth, index, None)
        except DataError as error:
            return error
        return size


def _looked(places: Sequence[Place]) -> Iterator[tuple[int, int] | DataError]:
    workers = min(places[0][0].workers, len(places)) if places else 0
    with worker_failures(workers):
        yield from loading(_Looks(places), workers, batch_size=None, collate_fn=_as_it_is)


def _as_it_is(found: Any) -> Any:
    return found


@dataclass(frozen=True, slots=True)
class _Cache:
    """The samples of one folder that were read to their ends: their files' states, then width and height.

    What is in it is data, and believed only where it is what was written: lists of numbers, for the same facts.
    """

    path: Path
    facts: dict[str, str]

    @classmethod
    def of(cls, split: FolderSplit) -> _Cache:
        """Where it is kept what was seen in the split's folder, by all that reading an image depends on."""
        facts = {
            "format": "1", "root": str(split.root), "dataset": split.info.name, "pillow": version("pillow"),
            "channels": str(split.info.shape[0]), "classes": str(split.info.classes),
            "reader": getattr(split.read, "__qualname__", repr(split.read)),
        }  # fmt: skip
        digest = blake2b(json.dumps(facts, allow_nan=False).encode(), digest_size=12).hexdigest()
        return cls(cache_folder() / "images" / f"{digest}.json", facts)

    def read(self) -> dict[str, State]:
        """What is known; nothing where the file is damaged, of something else, or somebody else's."""
        try:
            found = files.mapping(files.read_whole(self.path, _MOST, own=True))
            samples = found["samples"] if found["of"] == self.facts else {}
            return {name: state for name, state in samples.items() if _is_state(state)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def write(self, samples: dict[str, State]) -> None:
        """Keep it, in one go; a cache that cannot be written is no error."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(self.path) as temporary:
                temporary.write_text(
                    json.dumps({"of": self.facts, "samples": samples}, allow_nan=False), encoding="utf-8"
                )
        except OSError:
            return


def _is_state(found: object) -> bool:
    """Whether it is size and time of a file or two, and a width and a height that an image can have."""
    if not isinstance(found, list) or len(found) not in (4, 6) or not all(type(number) is int for number in found):
        return False
    return all(0 < side < 1 << 32 for side in found[-2:])
