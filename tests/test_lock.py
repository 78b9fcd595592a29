"""A run directory is one process's at a time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import RunError
from runtime.run import lock, rundir
from runtime.run.lock import NAME, locked
from runtime.run.rundir import RunDir

from .documents import compiled
from .processes import Child, start, wait_for


def test_a_second_process_is_told_who_has_the_run(tmp_path: Path) -> None:
    with locked(tmp_path) as left:
        assert left is None
        with pytest.raises(RunError, match="is in use by process") as caught, locked(tmp_path):
            pass
    message = str(caught.value)
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in message
    assert f"rm {tmp_path / NAME}" in caught.value.help[-1]


def test_a_lock_that_was_given_back_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path) as left:
            assert left is None
        assert not list(tmp_path.iterdir())


def holding(folder: Path, held: Path, fork: Callable[[], int] = lambda: 1) -> Child:
    """A process that has the lock until it is killed, and says so by a file; what it forks waits for ever."""

    def hold() -> None:
        with locked(folder):
            if fork():
                held.touch()
            signal.pause()

    child = start(hold)
    wait_for(held.exists, child)
    return child


def test_the_lock_of_a_process_that_is_gone_is_taken_over(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    process = holding(tmp_path, tmp_path_factory.mktemp("holds") / "held")
    with pytest.raises(RunError, match=f"in use by process {process.pid} on "), locked(tmp_path):
        pass
    process.kill(signal.SIGKILL)
    process.wait()
    assert (tmp_path / NAME).exists()
    with locked(tmp_path) as left:
        assert left is not None
        assert left.startswith(f"process {process.pid} on {socket.gethostname()}, since ")
        assert left.endswith("left its lock behind and is gone")


def test_a_worker_that_outlives_its_run_does_not_hold_the_lock(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("holds")

    def fork() -> int:
        """A worker, which leaves its number and is told of nothing."""
        worker = os.fork()
        if worker:
            (folder / "worker").write_text(str(worker))
        return worker

    process = holding(tmp_path, folder / "held", fork)
    process.kill(signal.SIGKILL)
    process.wait()
    worker = int((folder / "worker").read_text())
    try:
        os.kill(worker, 0)  # it is there
        with locked(tmp_path) as left:
            assert left is not None
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_lock_that_is_given_back_while_it_is_taken_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone then, and whoever came later would make another one."""
    own, first = lock._flock, True

    def slow(descriptor: int) -> bool | None:
        nonlocal first
        if first:
            (tmp_path / NAME).unlink()
        first = False
        return own(descriptor)

    monkeypatch.setattr(lock, "_flock", slow)
    with locked(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


# ---------------------------------------------------------------------------------------------- without locks


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no locks."""
    monkeypatch.setattr(lock, "_flock", lambda descriptor: None)


def name(folder: Path, **owner: object) -> None:
    (folder / NAME).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": "then"} | owner))


@pytest.mark.usefixtures("without")
def test_where_there_are_no_locks_the_file_is_one(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="in use by process"), locked(tmp_path):
        pass
    with locked(tmp_path) as left:
        assert left is None


@pytest.mark.usefixtures("without")
def test_of_another_machine_nobody_knows(tmp_path: Path) -> None:
    name(tmp_path, host="elsewhere")
    with pytest.raises(RunError, match=r"in use by process \d+ on elsewhere"), locked(tmp_path):
        pass


@pytest.mark.usefixtures("without")
def test_of_this_machine_it_is_known(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name(tmp_path, pid=gone.pid)
    with locked(tmp_path) as left:
        assert left is not None


@pytest.mark.parametrize("content", ["", "[]", '{"pid": "x"}', "\udcff", '{"pid": 1e999, "host": 1, "since": 1}'])
def test_a_lock_that_says_anything_is_no_traceback(content: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content.encode("utf-8", "surrogateescape"))
    with locked(tmp_path):
        pass


# ---------------------------------------------------------------------------------------------- two at once


def test_two_runs_of_one_second_have_their_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However close: the second looks when the first has not made its folder yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rundir.Path, "exists", lambda path: False)
    plan = compiled()
    folders = {RunDir.make(plan).path for _ in range(3)}
    assert len(folders) == 3
