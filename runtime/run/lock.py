"""A run directory is one process's: its lock says whose."""

from __future__ import annotations

import errno
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from specc.runs.names import LOCK as NAME
from specc.runs.owner import Owner, owner_in
from specc.system import files

from ..errors import RunError
from .durable import writing

try:
    import fcntl
except ImportError:  # not on this system, where the file itself has to do
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of file systems that have none
_held: set[int] = set()


@contextmanager
def locked(folder: Path) -> Iterator[str | None]:
    """Hold the lock of a run directory; gives what there is to say of one that was left behind.

    The system gives a lock back when its process is gone, however that ended; what the file says is for people. Where a
    file system has no locks, the file itself is one, and who it names is asked whether they are still there.
    """
    path = folder / NAME
    with writing(path):
        descriptor, before = _taken(path)
    _held.add(descriptor)
    try:
        with writing(path):
            os.truncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(Owner.self()), allow_nan=False).encode() + b"\n")
        yield f"{before} left its lock behind and is gone" if before else None
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held, so that nobody takes one that is about to go
        _held.discard(descriptor)
        os.close(descriptor)


def _taken(path: Path) -> tuple[int, Owner | None]:
    """The lock, and who had it before without giving it back."""
    while True:
        descriptor = files.own_descriptor(path)
        try:
            ours, before = _flock(descriptor), owner_in(path)
            if ours is False or (ours is None and before and before.may_live):
                raise _in_use(path, before)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor, before
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was given back, and its file with it, after this one was opened


def _flock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _in_use(path: Path, owner: Owner | None) -> RunError:
    who = owner or "another process"
    help = (
        "wait until it is done, or stop it",
        f"where it is surely gone, and no other machine has it: rm {shlex.quote(str(path))}",
    )
    return RunError(f"the run in {path.parent} is in use by {who}", help)


def _forget() -> None:
    """In a child: worker processes may outlive the run, and would go on holding its lock."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
