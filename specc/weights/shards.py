"""Weights in one file, or in several that an index beside them puts together, as large models are published."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from ..system import files
from .header import MOST, Entry, NoWeightsError, WeightsError, header_of, sha256_of, unreadable

INDEX = ".safetensors.index.json"
SHOWN = 3


def is_safe(path: str) -> bool:
    """Whether what is in it can be told without torch."""
    return path.endswith((".safetensors", ".json"))


def entries_of(path: str) -> Mapping[str, Entry]:
    """The tensors of a safetensors file, or of an index, by name; raises `WeightsError` where it is none."""
    if not path.endswith(".json"):
        return header_of(path)
    found: dict[str, Entry] = {}
    places = _places(path)
    for shard in sorted(set(places.values())):
        entries, own = header_of(shard), {name for name, file in places.items() if file == shard}
        _agree(path, shard, entries.keys() - own, "which the index does not say")
        _agree(path, shard, own - entries.keys(), "and the index says so", lacks=True)
        found |= entries
    return found


def digest_of(path: str) -> str:
    """SHA-256 of a file; of an index that of its own and its files' digests, in order of their names."""
    own = sha256_of(path)
    if not path.endswith(".json"):
        return own
    shards = sorted(set(_places(path).values()))
    missing = [os.path.basename(shard) for shard in shards if not os.path.exists(shard)]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        message = f"{path} is an index of {len(shards)} files, of which {len(missing)} "
        message += f"{'is' if len(missing) == 1 else 'are'} not there: {', '.join(missing[:SHOWN])}{more}"
        raise NoWeightsError(message, ("all files that the index names lie beside it",))
    return hashlib.sha256("".join([own, *map(sha256_of, shards)]).encode()).hexdigest()


def _places(path: str) -> dict[str, str]:
    """The file that each tensor is in, as an index says it; they lie beside it and nowhere else."""
    try:
        places: dict[str, str] = json.loads(files.read(path, MOST))["weight_map"]
        if not isinstance(places, dict):
            raise TypeError
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WeightsError(f"{path} is no index of safetensors files: it has no `weight_map`") from None
    for file in places.values():
        if not isinstance(file, str) or file != os.path.basename(file) or not file.endswith(".safetensors"):
            help = ("the files of an index are safetensors, and lie beside it",)
            raise WeightsError(f"{path} names {file!r}, which is no safetensors file beside it", help)
    return {name: os.path.join(os.path.dirname(path), file) for name, file in places.items()}


def _agree(path: str, shard: str, names: set[str], what: str, *, lacks: bool = False) -> None:
    """Raise `WeightsError` where an index and a file are not of one model."""
    if names:
        text = f"{os.path.basename(shard)} {'lacks' if lacks else 'has'} `{min(names)}`, {what}"
        raise WeightsError(f"{path} is not of the files beside it: {text}", ("download all of them again",))
