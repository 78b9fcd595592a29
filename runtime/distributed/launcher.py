"""Starts the processes of a run on this machine by torch's elastic launcher, and says in a line how they ended."""

from __future__ import annotations

import inspect
import logging
import os
import shlex
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
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, launch_agent

from specc.runs.checkpoints import exists
from specc.system.ranks import DONE, REPORTS, RUN, STARTED, Report, left, reports, words_of

from ..errors import Interrupted, RunError, Shown

THREADS, LOUDNESS = "OMP_NUM_THREADS", "TORCH_CPP_LOG_LEVEL"
GIVEN_UP = "given-up"  # says that ranks were killed here, which had not answered
SAVING = 600  # seconds that ranks have to finish a step and save, once somebody has asked for it
GRACE = 5.0  # seconds that ranks have to end, once one of them misses another
ALONE = 30.0  # seconds that they have to find that out, once one has ended and not at the end of the run
NCCL = "Watchdog caught collective operation timeout"  # what torch's process group says before it aborts the process
_LOOK = 0.1
_TAIL = 1 << 16  # characters of what a rank printed that are looked at for what went wrong


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: so many processes on each of so many machines, which meet at the first one's address."""

    count: int
    nodes: int = 1
    rendezvous: str | None = None

    @property
    def words(self) -> Sequence[str]:
        """As the command line has them."""
        return words_of(self.count, self.nodes, self.rendezvous)


def start(launch: Launch, words: Sequence[str], module: str = "specc") -> None:
    """Run `python -m MODULE WORDS` in all of them; raises `RunError` with the cause where that does not end well."""
    with tempfile.TemporaryDirectory(prefix="specc-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _environment(launch, folder), _quiet(), _heard(), _none_left(folder, launch.count):
            failed = _launched(_config(launch, folder), ["-P", "-m", module, *words])
        ending = ended(folder, failed, launch)
    if ending is not None:
        raise ending


def _launched(config: LaunchConfig, words: list[str]) -> ChildFailedError | SignalException | RunError | None:
    try:
        launch_agent(config, sys.executable, words)
    except (ChildFailedError, SignalException) as error:
        return error
    except (RendezvousError, OSError, RuntimeError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        help = (
            "all machines start theirs with the same `--nodes` and `--rendezvous`, which is an address of one of them",
        )
        return RunError(f"the processes could not be started: {said[0]}", help)
    return None


def _config(launch: Launch, folder: Path) -> LaunchConfig:
    known = inspect.signature(LaunchConfig).parameters
    more: dict[str, Any] = {} if launch.nodes > 1 else {"local_addr": "localhost"}
    more |= {"shutdown_timeout": SAVING} if "shutdown_timeout" in known else {}  # not in torch 2.6
    return LaunchConfig(
        min_nodes=launch.nodes, max_nodes=launch.nodes, nproc_per_node=launch.count, run_id="specc",
        rdzv_backend="c10d", rdzv_endpoint=launch.rendezvous or "localhost:0", max_restarts=0, monitor_interval=_LOOK,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder), redirects=dict.fromkeys(range(1, launch.count), Std.ALL)),
        **more,
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


# ------------------------------------------------------------------------------------------- how it ended


def ended(folder: Path, failed: Any, launch: Launch) -> RunError | None:
    """What to say: the rank's own words where it has some, else by which signal it was killed."""
    said = reports(folder)
    own = next((each for each in said if not each.lost and each.code != Interrupted.exit_code), None)
    help = _what_next(folder, launch)
    if isinstance(failed, RunError):
        return failed
    if own is not None:
        return _of(own, help)
    lost = next((each for each in said if each.lost), None)
    if lost is not None and (folder / GIVEN_UP).exists():
        return _of(lost, help)
    if isinstance(failed, ChildFailedError) and (killed := _killed(failed, folder)):
        rank, what = killed
        return RunError(f"rank {rank} {what}", help)
    if lost is not None:
        return _of(lost, help)
    if stopped := next(iter(sorted(said, key=lambda each: each.rank)), None):
        return _interrupted(stopped, help)
    if isinstance(failed, SignalException):
        return Interrupted("interrupted", help)
    return None if failed is None else RunError(str(failed).splitlines()[0], help)


def _of(found: Report, help: Sequence[str]) -> RunError:
    if found.text:
        return Shown(found.code, found.text)
    prefix = "" if found.lost or found.message.startswith("rank ") or found.rank == 0 else f"rank {found.rank}: "
    error = RunError(prefix + found.message, tuple(dict.fromkeys((*found.help, *help))))
    error.exit_code = found.code
    return error


def _interrupted(found: Report, help: Sequence[str]) -> Interrupted:
    return Interrupted(found.message, found.help or tuple(help))


def _killed(failed: ChildFailedError, folder: Path) -> tuple[int, str] | None:
    """The rank that ended first of those without a word, and of what."""
    for rank, failure in sorted(failed.failures.items(), key=lambda each: each[1].timestamp):
        if failure.exitcode < 0:
            return rank, _by_signal(-failure.exitcode, folder, failure.local_rank)
        if failure.exitcode != Interrupted.exit_code and not any(each.rank == rank for each in reports(folder)):
            return rank, f"ended with exit code {failure.exitcode}{_last_line(folder, failure.local_rank)}"
    return None


def _by_signal(number: int, folder: Path, local: int) -> str:
    """What a signal says of a rank that said nothing; torch has nccl's watchdog abort a process that waits too long."""
    if number == signal.SIGKILL:
        return f"was killed (signal {number}): the machine may have run out of memory"
    if number != signal.SIGABRT:
        return f"was killed (signal {number})"
    lines = _printed(folder, local)
    if waited := next((line for line in lines if NCCL in line), ""):
        return f"gave up, as another rank did not answer (signal {number}): {NCCL + waited.partition(NCCL)[2]}"
    return f"aborted (signal {number})" + (f": {lines[-1]}" if lines else ", as after a timeout of nccl")


def _last_line(folder: Path, local: int) -> str:
    """What it printed last, which of a bug is the error's own line."""
    lines = _printed(folder, local)
    return f": {lines[-1]}" if lines else ""


def _printed(folder: Path, local: int) -> list[str]:
    """The last lines of a rank's errors; of the first one of a machine none, as they are on the terminal."""
    for path in folder.glob(f"*/attempt_0/{local}/stderr.log"):
        with suppress(OSError):
            return path.read_text(errors="replace")[-_TAIL:].strip().splitlines()
    return []


def _what_next(folder: Path, launch: Launch) -> tuple[str, ...]:
    """What is left of the run, and how to go on with it."""
    path = left(folder, RUN)
    if not path:
        return ("nothing was trained",)
    stands = "the last checkpoint stands" if exists(Path(path)) else "no checkpoint was saved yet"
    return stands, f"then: {shlex.join(['specc', 'resume', path, *launch.words])}"
