"""Processes that train runs, so many at a time; none of them outlives the one that started it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ..runs import metrics, read_run
from ..runs.finding import is_run
from ..runs.names import METRICS, MOST
from ..system import files
from .jobs import LOG, Job, Standing, new_folder

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
PROGRAM = (sys.executable, "-P", "-m", "specc.commands.worker")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LOOK = 0.1  # seconds from one look at the processes to the next
_TAIL = 1 << 16  # bytes of a log that are looked at for what went wrong


class Wishes:
    """While entered, signals that ask to stop are counted, and raise nothing."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Wishes:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # as in `nohup`: somebody wants us to go on
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *error: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)


@dataclass
class Worker:
    """A process that trains a run, and what it writes down of it."""

    standing: Standing
    folder: Path
    process: subprocess.Popen[bytes]
    said_before: int  # bytes of its log that others wrote
    began: float = field(default_factory=time.monotonic)
    asked: int = 0
    _seen: tuple[int, float] = (-1, 0.0)
    _rows: list[metrics.Row] = field(default_factory=list)

    @property
    def job(self) -> Job:
        """What it trains."""
        return self.standing.job

    def rows(self) -> list[metrics.Row]:
        """The epochs that are done, as far as they can be read while they are written."""
        with suppress(OSError, ValueError):
            found = os.lstat(self.folder / METRICS)
            if (found.st_size, found.st_mtime) != self._seen:
                text = files.read_whole(self.folder / METRICS, MOST, follow=False).decode()
                self._rows, self._seen = list(metrics.rows(text)), (found.st_size, found.st_mtime)
        return self._rows

    def ended(self) -> bool:
        """Whether it is over; whatever it started is over with it."""
        if self.process.returncode is None and hasattr(os, "waitid"):
            if not _has_exited(self.process.pid):
                return False
            self._kill_group()  # while its number is still its own
        return self.process.poll() is not None

    def ask(self, number: int) -> None:
        """Pass on a signal that asks to stop: a second one stops at once, and after a third nothing is waited for."""
        self.asked += 1
        with suppress(OSError):
            if self.asked > 2:
                self._kill_group()
                self.process.kill()
            else:
                self.process.send_signal(number) if os.name != "nt" else self.process.terminate()

    def _kill_group(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the pipe that ties it to this process."""
        if self.process.stdin:
            self.process.stdin.close()

    def outcome(self) -> Standing:
        """What has become of the job."""
        self.close()
        record = read_run(self.folder, with_plan=False) if is_run(self.folder) else None
        code = self.process.returncode
        cause = None
        if code:
            cause = (record.said.cause if record else None) or last_error(self.folder / LOG, self.said_before)
            cause = cause or (f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}")
        remarks = tuple(f"{record.path}: {remark}" for remark in record.remarks) if record else ()
        return Standing(self.job, record, (*self.standing.remarks, *remarks), cause)


def _has_exited(pid: int) -> bool:
    """Whether a child is over, which is left on the system's list."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except OSError:
        return True


def last_error(log: Path, since: int) -> str | None:
    """What a process said last of why it ends."""
    with suppress(OSError), files.open_regular(log, follow=False) as file:
        file.seek(max(since, os.fstat(file.fileno()).st_size - _TAIL))
        lines = file.read(_TAIL).decode(errors="replace").splitlines()
        found = (match for line in lines if (match := re.match(r"error(?:\[(SPC\d+)\])?: (.*)", line)))
        return next((f"{m[2]} ({m[1]})" if m[1] else m[2] for m in reversed(list(found))), None)
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How the processes are started."""

    at_once: int = 1
    device: tuple[str, ...] = ()  # words of the command line

    def start(self, standing: Standing) -> Worker:
        """Begin a run, or go on with the one that there is."""
        job, record = standing.job, standing.record
        folder = record.path if record else new_folder(job)
        words = ("resume", *self.device, "--", str(folder)) if record else self._run(job, folder)
        folder.mkdir(parents=True, exist_ok=True)
        log = files.own_descriptor(folder / LOG)
        try:
            before = os.fstat(log).st_size
            process = subprocess.Popen(
                [*PROGRAM, *words], stdin=subprocess.PIPE, stdout=log,
                stderr=log, env=self._environment(), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)
        return Worker(standing, folder, process, before)

    def _run(self, job: Job, folder: Path) -> tuple[str, ...]:
        return ("run", *self.device, "--run-dir", str(folder), "--", str(job.spec), *job.overrides)

    def _environment(self) -> Mapping[str, str]:
        """One thread each where several share the processor; and the package that this process has."""
        env = dict(os.environ)
        if self.at_once > 1:
            env = dict.fromkeys(THREADS, "1") | env
        if own_path := _own_path():
            env["PYTHONPATH"] = os.pathsep.join([own_path, *filter(None, [env.get("PYTHONPATH")])])
        return env


def _own_path() -> str | None:
    """Where this package is, unless Python finds it there anyway: nothing is taken from the current folder."""
    own = Path(__file__).resolve().parents[2]
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return None if own in installed else str(own)


class Watch:
    """Who is told how it goes; this one tells nobody."""

    def begins(self, worker: Worker) -> None:
        """A process was started."""

    def ended(self, worker: Worker, outcome: Standing) -> None:
        """A process is over."""

    def goes_on(self, working: Sequence[Worker]) -> None:
        """Nothing has changed but for time."""

    def stops(self, working: Sequence[Worker], times: int) -> None:
        """It was asked to stop, so many times now."""


def train(todo: Sequence[Standing], surroundings: Surroundings, watch: Watch) -> tuple[list[Standing], bool]:
    """Train them, so many at a time; gives what has become of those that were begun, and whether all were let be."""
    waiting, working, done = deque(todo), list[Worker](), list[Standing]()
    with Wishes() as wishes, _none_left(working):
        told = 0
        while working or (waiting and not wishes.heard):
            while waiting and len(working) < surroundings.at_once and not wishes.heard:
                working.append(surroundings.start(waiting.popleft()))
                watch.begins(working[-1])
            for worker in [each for each in working if each.ended()]:
                working.remove(worker)
                done.append(worker.outcome())
                watch.ended(worker, done[-1])
            while told < len(wishes.heard):
                for worker in working:
                    worker.ask(wishes.heard[told])
                told += 1
                watch.stops(working, told)
            watch.goes_on(working)
            time.sleep(_LOOK)
    return done, not wishes.heard


@contextmanager
def _none_left(working: list[Worker]) -> Iterator[None]:
    """Whatever ends this, no process is left: those that are asked once save what they have."""
    try:
        yield
    finally:
        for worker in working:
            if not worker.asked:
                worker.close()  # which asks it
        while not all(worker.ended() for worker in working):
            time.sleep(_LOOK)
