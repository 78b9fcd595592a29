"""What is written survives a process that dies at any moment: the old is there or the new, and nothing of both."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from runtime.errors import WriteError
from runtime.run.durable import last_whole, new_folder, write_file

TOUCHING = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}  # audit events of what changes a disk


def dies(work: Callable[[], None], count: int) -> bool:
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


def fill(folder: Path, text: str) -> None:
    with new_folder(folder) as new:
        for name in ("first", "second"):
            (new / name).write_text(text)


def fill_a_disk(folder: Path) -> None:
    with new_folder(folder) as new:
        (new / "first").write_text("new")
        raise OSError(28, os.strerror(28))


def told(folder: Path) -> set[str]:
    return {(last_whole(folder) / name).read_text() for name in ("first", "second")}


def test_a_folder_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    seen, count = set(), 0
    folder = tmp_path / "last"
    fill(folder, "old")
    while dies(lambda: fill(folder, "new"), count):
        (now,) = told(folder)
        seen.add((now, last_whole(folder) == folder))
        fill(folder, "old")
        assert [path.name for path in tmp_path.iterdir()] == ["last"], "the next one clears up"
        assert told(folder) == {"old"}
        count += 1
    assert told(folder) == {"new"}
    assert seen == {("old", True), ("new", False), ("new", True)}


def test_what_a_crash_left_half_done_survives_the_next_one(tmp_path: Path) -> None:
    """The old one aside, the new one whole and not in its place."""
    seen, count, died = set(), 0, True
    while died:
        folder = tmp_path / str(count) / "last"
        fill(folder.with_name("last.old"), "old")
        fill(folder.with_name("last.new"), "new")
        assert told(folder) == {"new"}
        died = dies(partial(fill, folder, "newest"), count)
        (now,) = told(folder)
        seen.add(now)
        count += 1
    assert seen == {"new", "newest"}


def test_a_first_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    count = 0
    while dies(partial(fill, tmp_path / str(count), "new"), count):
        folder = tmp_path / str(count)
        assert not folder.exists() or told(folder) == {"new"}
        count += 1
    assert count > 3
    assert told(tmp_path / str(count)) == {"new"}


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

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return done


def test_a_folder_waits_for_the_disk_before_it_takes_its_place(tmp_path: Path, done: list[str]) -> None:
    fill(tmp_path / "last", "old")
    done.clear()
    fill(tmp_path / "last", "new")
    assert set(done[:2]) == {"first", "second"}
    assert done[2:] == ["last.new", "last to last.old", "last.new to last", tmp_path.name]


def test_a_file_waits_for_the_disk_before_it_takes_its_place(tmp_path: Path, done: list[str]) -> None:
    write_file(tmp_path / "file", "new")
    new = f".file.{os.getpid()}.tmp"
    assert done == [new, f"{new} to file"]


def test_what_cannot_be_finished_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    fill(folder, "old")
    with pytest.raises(WriteError, match=r"cannot write .*last: No space left on device"):
        fill_a_disk(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert told(folder) == {"old"}


def test_a_file_that_cannot_be_written_leaves_no_half(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*file: Is a directory"):
        write_file(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
