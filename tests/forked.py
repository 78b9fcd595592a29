"""Commands in processes of their own that import nothing: each is forked from one that has torch already.

    run = Forked(["specc", "run", "spec.json", "--nproc", "2"], folder)
    code, said = run.ends()

What torch's launcher starts in one is forked as well. All else is as in life: sessions, signals, files, ports, exit
codes. That a whole Python begins and ends so too is for the tests that are marked `full`.
"""

from __future__ import annotations

import inspect
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .commands import surroundings
from .ranks import server

PATIENCE = 100.0  # seconds; a deadlock must end a test


class Forked:
    """`python -m WORDS` in a folder, whose words are in `said`; `before` is called in it first."""

    def __init__(
        self, words: Sequence[str | Path], folder: Path, variables: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.path = folder / f"said{len(list(folder.glob('said*')))}"
        self.path.touch()  # or the next one, begun before this one writes, would have the same
        env = surroundings() | dict(variables or {})
        self._process = server().Process(target=_begin, args=(list(map(str, words)), folder, env, self.path, before))
        self._process.start()
        self.pid = int(self._process.pid or 0)
        self._ended: int | None = None

    @property
    def said(self) -> str:
        """What it has said so far, and what those that it has started have."""
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.exitcode is None

    def ends(self) -> tuple[int, str]:
        """Its exit code and what it said, within some time."""
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, self.said
        return self._process.exitcode, self.said

    def until(self, done: Callable[[], Any]) -> None:
        """Wait for something while it runs."""
        end = time.monotonic() + PATIENCE
        while not done():
            assert self.runs, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def kill(self) -> None:
        """End it, where it has not ended by itself."""
        if self.runs:
            self._process.kill()
            self._process.join(PATIENCE)


# ------------------------------------------------------------------------------------------- what there is of processes


def state(pid: int) -> str:
    """Of a process as /proc has it: `Z` for one that nobody has waited for; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    return state(pid) not in ("", "Z", "X")


def family(pid: int) -> list[int]:
    """A process and all that it has started, directly or not."""
    found = [pid]
    for each in found:
        for listed in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, listed.read_text().split())
            except OSError:
                continue
    return found


def listening(pids: Sequence[int]) -> set[str]:
    """The sockets of these processes that wait for connections, by the numbers that the system knows them by."""
    own = set[str]()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                own.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    return own & _open_for_connections()


def _open_for_connections() -> set[str]:
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A"}


def still_open(sockets: set[str]) -> set[str]:
    """Those that wait for connections now."""
    return sockets & _open_for_connections()


# ------------------------------------------------------------------------------------------- in it


class Copied(subprocess.Popen[Any]):
    """What torch's launcher starts, or a comparison: the same process without a new Python."""

    def _execute_child(self, *args: Any) -> None:  # type: ignore[override]
        asked = inspect.signature(subprocess.Popen._execute_child).bind(self, *args).arguments  # type: ignore[attr-defined]
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            return
        os.setsid()
        for stream, given in ((0, asked["p2cread"]), (1, asked["c2pwrite"]), (2, asked["errwrite"])):
            if given != -1:
                os.dup2(given, stream)
        os.closerange(3, 1024)
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words = asked["args"][1:]
        _be(list(words)[words.index("-m") + 1 :], asked["env"])


def _begin(
    words: list[str], folder: Path, env: Mapping[str, str], said: Path, before: Callable[[], None] | None
) -> None:
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    subprocess_handler.Popen = Copied  # type: ignore[assignment,misc]
    os.setsid()
    os.chdir(folder)
    with said.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if before is not None:
        before()
    _be(words, env)


def _be(words: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """What `python -m WORDS` does, to its end."""
    import torch

    code = 0
    try:
        torch.set_num_threads(1)
        os.environ.clear()
        os.environ.update(env)
        tempfile.tempdir = None
        sys.argv = list(words)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
