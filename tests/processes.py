"""A real process of its own that need not import torch again: a copy of this one, forked, as a program of its own.

What becomes of it (limits, folders, disks, streams, signals) is its own affair, and dies with it.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from specc.cli import main

from .commands import Result, command, surroundings

Deed = Callable[[], Any]
UNSHARE = 0x10000000 | 0x20000  # users and mounts of its own
END_WITH_PARENT, CAPABILITIES, OVERRIDE = 1, 0x20080522, 0b110  # to write and to read what modes forbid
PATIENCE = 100  # seconds
READ_ONLY, REMOUNT, ALL_BELOW, PRIVATE = 1, 32, 0x4000, 0x40000
TOUCHING = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}  # audit events of what changes a disk


@dataclass
class Child:
    """A process; what it writes lies in files, so that nobody has to read along."""

    pid: int
    name: list[str]
    stdout: BinaryIO
    stderr: BinaryIO
    status: int | None = None

    def kill(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it is over."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def wait(self) -> Result:
        """How it ended, and what it wrote; one that does not end is a mistake, and ended."""
        given_up = time.monotonic() + PATIENCE
        while not self.ended():
            if time.monotonic() > given_up:
                self.kill(signal.SIGKILL)
            time.sleep(0.005)
        said = []
        for file in (self.stdout, self.stderr):
            file.seek(0)
            said.append(file.read().decode())
            file.close()
        return Result(self.name, os.waitstatus_to_exitcode(self.status), *said)


def wait_for(condition: Callable[[], object], child: Child) -> None:
    """Wait until something is so, or the process is over."""
    given_up = time.monotonic() + PATIENCE
    while not condition() and not child.ended() and time.monotonic() < given_up:
        time.sleep(0.005)


def start(work: Deed, before: Deed = lambda: None, name: list[str] | None = None) -> Child:
    """Do some work in a process of its own, `before` of it what changes its surroundings."""
    out, err = (os.fdopen(_temporary(), "w+b") for _ in range(2))
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return Child(child, name or [], out, err)
    code = 1
    try:
        code = _as_a_program(work, before, out.fileno(), err.fileno())
    finally:
        os._exit(code)


def _temporary() -> int:
    number, path = tempfile.mkstemp()
    os.unlink(path)
    return number


def _as_a_program(work: Deed, before: Deed, out: int, err: int) -> int:
    """What the interpreter does around a program: streams of its own, an exit code, a traceback."""
    ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 0
    try:
        os.environ |= surroundings()
        sys.unraisablehook = sys.__unraisablehook__  # the interpreter's own, not that of the test run
        before()
        sys.stdout, sys.stderr = _stream(1), _stream(2)
        work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            code = 120
    return code


def _stream(number: int) -> Any:
    """As the interpreter makes it: None where it was closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    raw = os.fdopen(number, "wb", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=number == 2)


def started(*words: str | Path, before: Deed = lambda: None) -> Child:
    """A command line, started."""
    return start(lambda: main.main(list(map(str, words)), "specc"), before, command(*words))


def done(*words: str | Path, before: Deed = lambda: None) -> Result:
    """A command line, run to its end."""
    return started(*words, before=before).wait()


def dies(work: Deed, count: int) -> bool:
    """Do the work in a process that is gone before it touches the disk for the `count`-th time; whether it was."""
    child = os.fork()
    if not child:
        left = count

        def hook(event: str, arguments: object) -> None:
            nonlocal left
            left -= event in TOUCHING
            if left < 0:
                os._exit(1)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] != 0


# ---------------------------------------------------------------------------------------------- what happens to it


def with_little_memory(more: int) -> Deed:
    """No more address space than there is already, and so many bytes."""

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    return limit


def writing_to(path: str, *numbers: int) -> Deed:
    """Standard streams, by number, that go to a file."""

    def redirect() -> None:
        target = os.open(path, os.O_WRONLY)
        for number in numbers:
            os.dup2(target, number)

    return redirect


def unread(*numbers: int) -> Deed:
    """Standard streams that go to a reader that has gone."""

    def redirect() -> None:
        reader, writer = os.pipe()
        for number in numbers:
            os.dup2(writer, number)
        os.close(reader)

    return redirect


def closed(*numbers: int) -> Deed:
    """Standard streams that were never there."""
    return lambda: [os.close(number) for number in numbers]


def nowhere() -> None:
    """In a folder that somebody has removed."""
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def mount_disk(folder: Path, size: str = "1m") -> None:
    """A disk of its own on a folder, in sight of this process and of those that it starts."""
    user, group = os.getuid(), os.getgid()
    _system("unshare", UNSHARE)
    for name, text in {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}.items():
        Path("/proc/self", name).write_text(text)
    _system("mount", None, b"/", None, ALL_BELOW | PRIVATE, None)
    _system("mount", b"specc", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode())


def make_read_only(folder: Path) -> None:
    """The disk on a folder takes nothing more."""
    _system("mount", b"specc", os.fsencode(folder), None, REMOUNT | READ_ONLY, None)


def without_privileges() -> None:
    """Bound by the modes of folders, as everybody but root is."""
    header, data = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    _system("capget", header, data)
    for word in (0, 1):
        data[word] &= ~OVERRIDE
    _system("capset", header, data)


def resize(folder: Path, size: str) -> None:
    """The disk on a folder has another size."""
    _system("mount", b"specc", os.fsencode(folder), None, REMOUNT, f"size={size}".encode())


def fill(folder: Path, spare: int = 0) -> None:
    """Leave so many bytes of a disk; what is left of a page counts as none."""
    found = os.statvfs(folder)
    with (folder / "fill").open("ab") as file:
        file.write(b"x" * max(0, found.f_bavail * found.f_bsize - spare))


def _system(call: str, *arguments: Any) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, call)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


@cache
def may_mount() -> bool:
    """Whether this machine lets a process have disks of its own; containers and some systems do not."""
    if sys.platform != "linux":
        return False
    folder = Path(tempfile.mkdtemp())
    try:
        return start(lambda: mount_disk(folder)).wait().returncode == 0
    finally:
        folder.rmdir()
