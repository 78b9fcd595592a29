"""Whether this process is one of several that train a run together, as torchrun's environment says; no torch."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

REPORTS, STARTED = "SPECC_REPORTS", "SPECC_STARTED"  # told by `specc run --nproc` to the processes that it starts
RUN = "run"  # under which name rank 0 tells where its run directory is
INTERRUPTED = 130  # the exit code of one that was asked to end
DONE = "done"  # and under which one of a machine tells that it ends as it should, with its number there
_LOOK = 0.5  # seconds from one look at the parent to the next


@dataclass(frozen=True, slots=True)
class Place:
    """Which of several processes this one is."""

    rank: int
    count: int
    local: int = 0  # among those of this machine
    reports: Path | None = None  # where `specc run --nproc` reads how its processes end; None: torchrun started them

    @property
    def quiet(self) -> bool:
        """Whether another rank does the talking."""
        return self.rank > 0


def placed(variables: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this process; None where it is alone.

    >>> placed({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}).rank
    1
    >>> placed({"RANK": "0", "WORLD_SIZE": "1"}), placed({})
    (None, None)
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    said = [variables.get(name, "0" if name == "LOCAL_RANK" else "") for name in names]
    if not all(each.isascii() and each.isdecimal() for each in said):
        return None
    rank, count, local = map(int, said)
    if not rank < count or count < 2:
        return None
    reports = variables.get(REPORTS)
    return Place(rank, count, local, Path(reports) if reports else None)


def again(*words: str, variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The words of a command that goes on with a run of so many processes as there are now.

    >>> again("resume", "runs/a", variables={})
    ('specc', 'resume', 'runs/a')
    >>> again("resume", "runs/a", variables={"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"})
    ('torchrun', '--nproc-per-node', '2', '-m', 'specc', 'resume', 'runs/a')
    """
    place = placed(variables)
    if place is None:
        return ("specc", *words)
    if place.reports is not None:
        return ("specc", *words, *variables.get(STARTED, "").split())
    nodes = variables.get("GROUP_WORLD_SIZE", "1")
    many = () if nodes == "1" else ("--nnodes", nodes)
    local = variables.get("LOCAL_WORLD_SIZE", str(place.count))
    return ("torchrun", *many, "--nproc-per-node", local, "-m", "specc", *words)


# ------------------------------------------------------------------------------------------- how a rank ended


@dataclass(frozen=True, slots=True)
class Report:
    """How a rank says that it ended."""

    rank: int
    code: int
    message: str
    help: tuple[str, ...] = ()
    text: str = ""  # where it is more than a message: diagnostics as they are shown
    lost: bool = False  # it ended because another one did
    at: float = 0.0


def report(place: Place, found: Report) -> None:
    """Leave it where the launcher looks; one that is gone reads nothing."""
    if place.reports is not None:
        document = {name: getattr(found, name) for name in found.__slots__} | {"at": time.time()}
        with suppress(OSError):
            path = place.reports / f"rank{place.rank}"
            path.with_suffix(".part").write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
            path.with_suffix(".part").replace(path.with_suffix(".json"))
        if found.code == INTERRUPTED:
            done(place)


def reports(folder: Path) -> list[Report]:
    """What ranks have said of their ends, the first first."""
    found = []
    for path in folder.glob("rank*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(path.read_text(encoding="utf-8"))
            found.append(Report(**document | {"help": tuple(document["help"])}))
    return sorted(found, key=lambda each: each.at)


def leave(place: Place | None, name: str, text: str) -> None:
    """Tell the launcher something by a name of its own: the run directory, the number of a process."""
    if place is not None and place.reports is not None:
        with suppress(OSError):
            (place.reports / name).write_text(text, encoding="utf-8")


def left(folder: Path, name: str) -> str:
    """What was told by that name; nothing where it was not."""
    with suppress(OSError):
        return (folder / name).read_text(encoding="utf-8")
    return ""


def done(place: Place) -> None:
    """Tell the launcher that this process ends, and that the others need not end for it."""
    leave(place, f"{DONE}{place.local}", DONE)


# ------------------------------------------------------------------------------------------- its parent


def tied(place: Place) -> None:
    """From now on this process is asked to save and to end when the one that started it is gone, however that ended."""
    leave(place, f"pid{place.local}", str(os.getpid()))
    threading.Thread(target=_end_with, args=(os.getppid(), place), daemon=True).start()


def _end_with(parent: int, place: Place) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    if place.reports is not None:
        rmtree(place.reports, ignore_errors=True)  # nobody reads them
    os.kill(os.getpid(), signal.SIGTERM)


def words_of(nproc: int, nodes: int = 1, rendezvous: str | None = None) -> Sequence[str]:
    """How `specc run` is told to start so many processes."""
    many = ("--nodes", str(nodes), "--rendezvous", rendezvous or "HOST:PORT") if nodes > 1 else ()
    return ("--nproc", str(nproc), *many)
