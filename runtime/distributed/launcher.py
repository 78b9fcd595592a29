"""Starts the processes of a run on this machine by torch's elastic launcher, and says in a line how they ended."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import (
    RendezvousConnectionError,
    RendezvousError,
    RendezvousTimeoutError,
)
from torch.distributed.launcher.api import LaunchConfig, launch_agent

from specc.system.ranks import DONE, REPORTS, STARTED, left, reports, words_of

from ..engine.device import first_line
from ..errors import RunError
from .ended import GIVEN_UP, Ending, ended, what_next
from .meeting import meeting

THREADS, LOUDNESS = "OMP_NUM_THREADS", "TORCH_CPP_LOG_LEVEL"
SAVING = 600  # seconds that ranks have to finish a step and save, once somebody has asked for it
GRACE = 5.0  # seconds that ranks have to end, once one of them misses another
ALONE = 30.0  # seconds that they have to find that out, once one has ended and not at the end of the run
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: so many processes on each of so many machines, which meet at the first one's address."""

    count: int
    nodes: int = 1
    rendezvous: str | None = None
    timeout: float = 600.0  # seconds to wait for the other machines

    @property
    def words(self) -> Sequence[str]:
        """As the command line has them."""
        return words_of(self.count, self.nodes, self.rendezvous)


def start(launch: Launch, words: Sequence[str], module: str = "specc") -> None:
    """Run `python -m MODULE WORDS` in all of them; raises `RunError` with the cause where that does not end well."""
    with tempfile.TemporaryDirectory(prefix="specc-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _environment(launch, folder), _quiet(), _heard(), _none_left(folder, launch.count):
            failed = _launched(launch, folder, ["-P", "-m", module, *words])
        ending = ended(folder, failed, launch.words)
    if ending is not None:
        raise ending


def _launched(launch: Launch, folder: Path, words: list[str], *, keeps: bool | None = None) -> Ending:
    config = _config(launch, folder, keeps)
    try:
        launch_agent(config, sys.executable, words)
    except (ChildFailedError, SignalException) as error:
        return error
    except (RendezvousError, OSError, RuntimeError, ValueError) as error:
        late = isinstance(error, RendezvousConnectionError) and not _pids(folder, launch.count)
        if late and config.rdzv_configs.get("is_host"):
            return _launched(launch, folder, words, keeps=False)  # another launcher was there first, in between
        return _not_met(error, folder, launch)
    return None


def _not_met(error: Exception, folder: Path, launch: Launch) -> RunError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    if _pids(folder, launch.count):
        return RunError(f"the launcher of another machine is gone: {said[0]}", what_next(folder, launch.words))
    help = "all machines start theirs with the same `--nodes` and `--rendezvous`, which is an address of one of them"
    if isinstance(error, RendezvousConnectionError):
        return RunError(f"nobody answers at {launch.rendezvous}: {first_line(error.__cause__ or error)}", (help,))
    if isinstance(error, RendezvousTimeoutError):
        message = f"the {launch.nodes} machines did not meet at {launch.rendezvous} within {launch.timeout:g} s"
        return RunError(message, (help, "nothing was trained"))
    return RunError(f"the processes could not be started: {said[0]}", (help,) if launch.nodes > 1 else ())


def _config(launch: Launch, folder: Path, keeps: bool | None) -> LaunchConfig:
    known = inspect.signature(LaunchConfig).parameters
    more: dict[str, Any] = {"shutdown_timeout": SAVING} if "shutdown_timeout" in known else {}  # not in torch 2.6
    return LaunchConfig(
        min_nodes=launch.nodes, max_nodes=launch.nodes, nproc_per_node=launch.count, run_id="specc",
        rdzv_backend="c10d", max_restarts=0, monitor_interval=_LOOK,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder), redirects=dict.fromkeys(range(1, launch.count), Std.ALL)),
        **meeting(launch.rendezvous, launch.timeout, keeps=keeps), **more,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- around it


@contextmanager
def _environment(launch: Launch, folder: Path) -> Iterator[None]:
    """What the processes find there: this package, their part of the processor, where to report."""
    own = Path(__file__).resolve().parents[2]
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    threads = max(1, (os.cpu_count() or 1) // launch.count)
    added = {REPORTS: str(folder), STARTED: " ".join(launch.words), THREADS: os.environ.get(THREADS, str(threads)),
             LOUDNESS: os.environ.get(LOUDNESS, "ERROR")}  # fmt: skip
    if own not in installed:
        added["PYTHONPATH"] = os.pathsep.join([str(own), *filter(None, [os.environ.get("PYTHONPATH")])])
    before = {name: os.environ.get(name) for name in (*added, "TORCHELASTIC_SIGNALS_TO_HANDLE")}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch says of processes that end is said here in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _heard() -> Iterator[None]:
    """Pass SIGUSR1 on as the launcher does others, and leave all handlers as they were."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, _passed_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _passed_on(number: int, frame: FrameType | None) -> None:
    raise SignalException("asked to save and to end", signal.Signals(number))


@contextmanager
def _none_left(folder: Path, count: int) -> Iterator[None]:
    """Where one has failed, the others are given some seconds, and no more: one that hangs does not hear."""
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(folder, count, over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(folder: Path, count: int, over: threading.Event) -> None:
    until = float("inf")
    while not over.wait(_LOOK):
        until = min(until, time.monotonic() + _patience(folder, count))
        if time.monotonic() > until:
            (folder / GIVEN_UP).touch()
            for pid in _pids(folder, count).values():
                _kill(pid)


def _patience(folder: Path, count: int) -> float:
    """For how long the ranks that are left may go on, as things are."""
    if any(each.lost for each in reports(folder)):
        return GRACE
    begun = _pids(folder, count).items()
    return ALONE if any(not left(folder, f"{DONE}{local}") and not _runs(pid) for local, pid in begun) else float("inf")


def _pids(folder: Path, count: int) -> dict[int, int]:
    """The numbers of the ranks of this machine that have begun."""
    said = {local: left(folder, f"pid{local}") for local in range(count)}
    return {local: int(number) for local, number in said.items() if number.isdecimal()}


def _runs(pid: int) -> bool:
    """Whether a child has not ended; only so long is its number its own."""
    with suppress(OSError):
        return not hasattr(os, "waitid") or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False


def _kill(pid: int) -> None:
    """End a child with all that it has started."""
    with suppress(OSError):
        if _runs(pid):
            os.killpg(pid, signal.SIGKILL)
