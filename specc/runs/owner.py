"""Who trains in a run directory now: its lock says so, and is only looked at here."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..system import files
from .names import LOCK

try:
    import fcntl
except ImportError:  # not on this system, where the file itself has to do
    fcntl = None  # type: ignore[assignment]

_YOUNG = 5  # seconds: a lock is taken first, and written to at once


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lock."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @classmethod
    def self(cls) -> Owner:
        """This process."""
        return cls(os.getpid(), socket.gethostname(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))

    @property
    def may_live(self) -> bool:
        """Whether it may still be there: of another machine's nobody knows."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # somebody else's
            pass
        return True


def owner_in(path: Path) -> Owner | None:
    """Who the file names; it may be of nobody, and hold anything."""
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        said = files.mapping(files.read(path, 1000, follow=False))
        return Owner(int(said["pid"]), str(said["host"]), str(said["since"]))
    return None


def is_held(folder: Path) -> bool:
    """Whether somebody trains there, as far as one can tell without taking the lock from them."""
    path = folder / LOCK
    owner = owner_in(path)
    if owner is None and not _is_young(path):
        return False
    if owner is not None and (not owner.may_live or owner.host != socket.gethostname()):
        return owner.may_live
    return _is_locked(path)


def _is_young(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return abs(time.time() - os.lstat(path).st_mtime) < _YOUNG
    return False


def _is_locked(path: Path) -> bool:
    """Whether the process that is named has the lock too, and is no other one of the same number."""
    if fcntl is None:
        return True
    try:
        with files.open_regular(path, follow=False) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back with the file
    except FileNotFoundError:
        return False
    except OSError:  # held; or there are no locks here, and the file is one
        return True
    return False
