"""The function that makes the data sets, and what is kept of its answer in the user's cache directory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from ...system import files
from ...system.environment import cache_folder
from ...system.own_code import digest_of
from .facts import Facts

FORMAT_VERSION = 2  # of the facts: raise it when the same data sets give others
_MOST = 1 << 24  # bytes of a file that is read


@dataclass(frozen=True, slots=True)
class DataSource:
    """A function of a file, and everything else that decides what it makes, beside the files that it reads."""

    name: str  # the absolute path of a file, a colon, and a function or class in it
    args: str  # its arguments, as JSON with sorted keys
    root: str  # the absolute path of the folder that it is told if it asks for `root`
    digest: str  # of the file and of what it imports beside it

    @property
    def file(self) -> str:
        """The file with the code."""
        return self.name.rpartition(":")[0]

    @property
    def function(self) -> str:
        """What in it makes the data sets."""
        return self.name.rpartition(":")[2]

    @property
    def called(self) -> str:
        """As it is spoken of: `make_datasets` of data.py."""
        return f"`{self.function}` of {Path(self.file).name}"

    @property
    def path(self) -> Path:
        """Where the facts are kept."""
        document = {"source": asdict(self), "format": FORMAT_VERSION}
        digest = hashlib.sha256(json.dumps(document, allow_nan=False).encode()).hexdigest()
        return cache_folder() / "data" / f"{Path(self.file).stem[-40:]}-{digest[:16]}.json"


def source_of(name: str, args: object, root: str) -> DataSource:
    """The source as its file is now; `OSError` where that cannot be read."""
    arguments = json.dumps(args, sort_keys=True, allow_nan=False)
    return DataSource(name, arguments, root, digest_of(name.rpartition(":")[0]))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file holds."""

    source: DataSource
    facts: Facts


@cache
def _file() -> TypeAdapter[Kept]:
    return TypeAdapter(Kept)


def load(source: DataSource) -> Facts | None:
    """What was kept; None where there is nothing, the file is damaged, or somebody else's."""
    try:
        kept = _file().validate_json(files.read_whole(source.path, _MOST, own=True))
    except Exception:  # whatever is wrong with the file, the code can be asked again
        return None
    facts = kept.facts
    axes = 1 if facts.parts or facts.pixels == "tokens" else 3
    sound = len(facts.shape) == axes and min(*facts.shape, *facts.truth, facts.train_size) > 0
    return facts if kept.source == source and sound else None


def save(source: DataSource, facts: Facts) -> None:
    """Keep the facts, in one go; a cache that cannot be written is no error."""
    try:
        source.path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(source.path) as temporary:
            temporary.write_bytes(_file().dump_json(Kept(source, facts)))
    except OSError:
        return
