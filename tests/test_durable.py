"""What is written survives a process that dies at any moment: the old is there or the new, and nothing of both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from runtime.errors import WriteError
from runtime.run import checkpoint, storing
from runtime.run.durable import write_file
from specc.runs.checkpoints import exists
from specc.runs.names import CHECKPOINTS, METRICS

from .checkpoints import names
from .processes import dies


def fill(run: Path, steps: int, text: str) -> Path:
    return storing.write(run, storing.name_for(run, steps), contents(steps, text))


def contents(steps: int, text: str) -> Iterator[tuple[str, bytes]]:
    for name in (checkpoint.MODEL, checkpoint.OPTIMIZER, checkpoint.AVERAGES, METRICS):
        yield name, text.encode()
    yield checkpoint.STATE, checkpoint.state_json(checkpoint.State(checkpoint.Position(0, steps, "", steps=steps)))


def told(run: Path) -> set[str]:
    """What the files of the newest one hold."""
    return {(checkpoint.newest(run).path / name).read_text() for name in (checkpoint.MODEL, METRICS)}


def save_and_prune(run: Path) -> None:
    fill(run, 2, "new")
    storing.prune(run, 1)


def test_a_checkpoint_is_there_or_the_one_before(tmp_path: Path) -> None:
    seen, count = set(), 0
    fill(tmp_path, 1, "old")
    while dies(partial(save_and_prune, tmp_path), count):
        (now,) = told(tmp_path)
        seen.add(now)
        shutil.rmtree(tmp_path / CHECKPOINTS)
        fill(tmp_path, 1, "old")
        count += 1
    assert seen == {"old", "new"}
    assert count > 15
    assert told(tmp_path) == {"new"}
    assert names(tmp_path) == ["000000002"]


def test_what_a_crash_left_is_cleared_up_by_the_next(tmp_path: Path) -> None:
    count = 0
    fill(tmp_path, 1, "old")
    while dies(partial(save_and_prune, tmp_path), count):
        fill(tmp_path, 3, "newest")
        storing.prune(tmp_path, 1)
        assert names(tmp_path) == ["000000003"]
        assert told(tmp_path) == {"newest"}
        shutil.rmtree(tmp_path / CHECKPOINTS)
        fill(tmp_path, 1, "old")
        count += 1


def test_a_first_checkpoint_is_whole_or_not_there(tmp_path: Path) -> None:
    runs = [tmp_path / str(count) for count in range(100)]
    for count, run in enumerate(runs):
        run.mkdir()
        if not dies(partial(fill, run, 0, "new"), count):
            break
        assert not exists(run) or told(run) == {"new"}
    assert count > 10
    assert told(run) == {"new"}


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path, count = tmp_path / "file", 0
    write_file(path, "old")
    while dies(lambda: write_file(path, "new"), count):
        assert path.read_text() in ("old", "new")
        write_file(path, "old")
        count += 1
    assert path.read_text() == "new"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is waited for and what takes whose place, in order."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        sync(handle)

    def replaced(source: Path, target: Path) -> None:
        done.append(f"{source.name} to {target.name}")
        replace(source, target)

    def removed(path: Path, **options: object) -> None:
        done.append("removed")

    monkeypatch.setattr(shutil, "rmtree", removed)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return done


def test_a_manifest_waits_for_its_files_and_the_old_one_for_the_manifest(tmp_path: Path, done: list[str]) -> None:
    fill(tmp_path, 1, "old")
    done.clear()
    save_and_prune(tmp_path)
    manifest = f".manifest.json.{os.getpid()}.tmp"
    assert done[:5] == list(checkpoint.FILES)
    assert done[5:] == ["000000002", manifest, f"{manifest} to manifest.json", "000000002", "checkpoints", "removed"]


def test_a_file_waits_for_the_disk_before_it_takes_its_place(tmp_path: Path, done: list[str]) -> None:
    write_file(tmp_path / "file", "new")
    new = f".file.{os.getpid()}.tmp"
    assert done == [new, f"{new} to file", tmp_path.name]


def test_what_cannot_be_finished_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    def full(text: str) -> Iterator[tuple[str, bytes]]:
        yield from islice(contents(2, text), 2)
        raise OSError(28, os.strerror(28))

    fill(tmp_path, 1, "old")
    with pytest.raises(WriteError, match=r"cannot write .*000000002: No space left on device"):
        storing.write(tmp_path, "000000002", full("new"))
    assert names(tmp_path) == ["000000001"]
    assert told(tmp_path) == {"old"}


def test_a_file_that_cannot_be_written_leaves_no_half(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*file: Is a directory"):
        write_file(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
