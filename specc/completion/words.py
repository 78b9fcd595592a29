"""The words that may stand somewhere: files, keys and their values, codes, recipes, run directories, devices."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from click.shell_completion import CompletionItem

from ..diagnostics import pages
from ..profiles import places as profiles_here
from ..recipes.places import names
from ..system import devices as devices_here

PATH = "path"  # a kind of word: bash has to quote it
_SPECS = (".yaml", ".yml")
_NETWORKS = (".py", ".json")
_RUN = ("plan.json", "summary.json")  # a folder with one of these is a run's
_RUNS = "runs"  # where they are, unless somebody says otherwise


@dataclass(frozen=True, slots=True)
class Word:
    """Something that may stand there, and what it is."""

    value: str
    help: str = ""
    kind: str = "plain"

    @property
    def item(self) -> CompletionItem[str]:
        """As click hands it on."""
        return CompletionItem(self.value, type=self.kind, help=self.help)


def beginning(words: Iterable[Word], incomplete: str) -> Iterator[Word]:
    """Those that begin with what is typed."""
    return (word for word in words if word.value.startswith(incomplete))


# ------------------------------------------------------------------------------------------------------------- files


def paths(incomplete: str, *, endings: tuple[str, ...] = (), folders: bool = False) -> Iterator[Word]:
    """Files, or those of some endings, and folders, which go on; or folders alone."""
    for path, shown in _in_folder(incomplete):
        if path.is_dir():
            yield Word(f"{shown}/", kind=PATH)
        elif not folders and (not endings or path.name.endswith(endings)):
            yield Word(shown, kind=PATH)


def specs(incomplete: str) -> Iterator[Word]:
    """Specs, which are files in YAML."""
    return paths(incomplete, endings=_SPECS)


def networks(incomplete: str) -> Iterator[Word]:
    """What says where a network has its name from, and files that may make one."""
    kinds = (Word(f"{kind}:", f"a network of {kind}") for kind in ("timm", "torchvision", "transformers"))
    yield from beginning((*kinds, Word("family:", "a network of specc's own")), incomplete)
    yield from paths(incomplete, endings=_NETWORKS)


def run_folders(incomplete: str) -> Iterator[Word]:
    """Directories of runs: those in `runs/`, the youngest first, then whatever is typed."""
    found = sorted(Path(_RUNS).glob("*/*/"), key=_age) if _RUNS.startswith(incomplete) else []
    known = [path for path in found if _is_run(path)]
    yield from (Word(str(path), kind=PATH) for path in known)
    for path, shown in _in_folder(incomplete):
        if path.is_dir():
            yield Word(shown if _is_run(path) else f"{shown}/", kind=PATH)


def _age(path: Path) -> float:
    return -path.stat().st_mtime


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in _RUN)


def _in_folder(incomplete: str) -> Iterator[tuple[Path, str]]:
    """What is in the folder that is typed and begins with what comes after it; each as it would be typed."""
    folder, begun = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(os.path.expanduser(folder) or "."))
    except (OSError, ValueError):
        return
    for name in names:
        if name.startswith(begun) and name.isprintable() and (begun or not name.startswith(".")):
            yield Path(os.path.expanduser(folder), name), os.path.join(folder, name)


# ------------------------------------------------------------------------------------------------------------- names


def codes(incomplete: str) -> Iterator[Word]:
    """Codes of diagnostics."""
    return beginning((Word(code, title) for code, title in pages.titles().items()), incomplete)


def recipes(incomplete: str) -> Iterator[Word]:
    """Recipes, by their names alone."""
    return beginning(map(Word, names()), incomplete)


def profiles(incomplete: str) -> Iterator[Word]:
    """Device profiles by their names, then files that may hold one."""
    yield from beginning(map(Word, profiles_here.names()), incomplete)
    if os.sep in incomplete:
        yield from paths(incomplete, endings=(".json",))


def devices(incomplete: str) -> Iterator[Word]:
    """Devices, those that are there by their numbers."""
    words = (Word("cpu"), Word("cuda", "the first GPU"), *map(Word, devices_here.numbered()))
    return beginning(words, incomplete)
