"""A machine that fails a command in the middle of it: a line that says so and an exit code, whatever the command."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

from specc.commands import program
from specc.system import files

from .commands import Result, specc
from .documents import document
from .processes import (
    Deed,
    closed,
    done,
    fill,
    make_read_only,
    may_mount,
    mount_disk,
    nowhere,
    start,
    unread,
    with_little_memory,
    writing_to,
)
from .test_resume import TINY

COMMANDS = {
    "--help": ["--help"],
    "run --help": ["run", "--help"],
    "validate": ["validate", "SPEC"],
    "validate, as JSON": ["validate", "SPEC", "--format", "json"],
    "validate, wrong": ["validate", "SPEC", "data.image_size=x"],
    "plan": ["plan", "SPEC", "--verify"],
    "plan, as JSON": ["plan", "SPEC", "--format", "json"],
    "plan --trace": ["plan", "SPEC", "--trace"],
    "graph": ["graph", "SPEC"],
    "fit": ["fit", "SPEC", "--budget", "10MiB", "--write", "fitted.yaml"],
    "compare": ["compare", "SPEC", "--run", "1", "--device", "cpu"],
    "schema": ["schema"],
    "explain": ["explain"],
    "init": ["init", "new.yaml"],
    "doctor": ["doctor"],
    "run": ["run", "SPEC", "--device", "cpu", "--run-dir", "new"],
    "resume": ["resume", "cut", "--device", "cpu"],
    "resume, finished": ["resume", "whole"],
    "export": ["export", "whole"],
    "evaluate": ["evaluate", "whole", "--device", "cpu"],
    "predict": ["predict", "whole", "IMAGE", "--device", "cpu", "--format", "json"],
}
IN_MEMORY = {"validate", "validate, as JSON", "validate, wrong", "plan, as JSON", "graph", "schema", "explain", "init"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, a finished run and one that lacks its summary."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "spec.yaml").write_text(json.dumps(document(**TINY, train={"epochs": 2})))
    assert specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "whole", cwd=folder).returncode == 0
    shutil.copytree(folder / "whole", folder / "cut")
    Image.new("L", (8, 8)).save(folder / "image.png")
    (folder / "cut" / "summary.json").unlink()
    return folder


def on_disk(folder: Path, home: Path, spoil: Deed) -> Deed:
    """In a disk of its own with the runs in it, which is then spoilt."""

    def change() -> None:
        mount_disk(folder)
        for name in ("whole", "cut"):
            shutil.copytree(home / name, folder / name)
        os.environ["SPECC_CACHE"] = str(folder / "cache")
        os.chdir(folder)
        spoil()

    return change


FAULTS = {
    "stdout on a full disk": writing_to("/dev/full", 1),
    "stderr on a full disk": writing_to("/dev/full", 2),
    "nobody reads": unread(1),
    "no streams": closed(0, 1, 2),
    "no folder": nowhere,
    "full disk": lambda: fill(Path.cwd()),
    "nearly full disk": lambda: fill(Path.cwd(), 12_000),
    "read-only disk": lambda: make_read_only(Path.cwd()),
    "no memory": with_little_memory(0),
}
PAIRS = [(name, fault) for name in COMMANDS for fault in FAULTS if fault != "no memory" or name in IN_MEMORY]
SLICE = {pair for i, name in enumerate(COMMANDS) for j, fault in enumerate(FAULTS)
         if (i + j) % len(FAULTS) == 3 and (pair := (name, fault)) in PAIRS}  # fmt: skip


def marked(pair: tuple[str, str]) -> object:
    return pytest.param(*pair, marks=() if pair in SLICE else pytest.mark.full, id=", ".join(pair))


def ended(name: str, fault: str, home: Path, folder: Path) -> Result:
    """The command under the fault, in a folder of its own."""
    spoil = FAULTS[fault]
    if fault.endswith(" disk") and not fault.startswith("std"):
        if not may_mount():
            pytest.skip("no disk may be mounted here")
        before = on_disk(folder, home, spoil)
    else:
        shutil.copytree(home, folder, dirs_exist_ok=True)

        def before() -> None:
            os.chdir(folder)
            spoil()

    places = {"SPEC": home / "spec.yaml", "IMAGE": home / "image.png"}
    return done(*(places.get(word, word) for word in COMMANDS[name]), before=before)


@pytest.mark.parametrize(("name", "fault"), map(marked, PAIRS))
def test_a_fault_is_said_in_words(name: str, fault: str, home: Path, tmp_path: Path) -> None:
    result = ended(name, fault, home, tmp_path)
    assert "Traceback" not in result.stderr, result.stderr
    assert "Exception ignored" not in result.stderr, result.stderr
    assert result.returncode in (0, 1, 2, 3), result.stderr
    wrong = name == "validate, wrong"
    if fault == "stdout on a full disk" and not wrong:
        assert result.returncode == 3
        assert result.stderr.splitlines()[-1] == "error: cannot write to stdout: No space left on device"
    elif fault == "nobody reads" and not wrong:
        assert result.returncode == 3
        assert "error" not in result.stderr
    elif fault in ("stderr on a full disk", "no streams"):
        assert result.returncode == wrong, "what cannot be said changes nothing"
    elif result.returncode in (2, 3):
        assert "error: " in result.stderr
    else:
        assert result.returncode == wrong
    for made in (tmp_path / "new.yaml", tmp_path / "fitted.yaml"):
        assert not made.exists() or made.read_text().endswith("\n"), "no half of a file"


def test_a_file_that_is_replaced_survives_a_full_disk(home: Path, tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("no disk may be mounted here")

    def before() -> None:
        mount_disk(tmp_path)
        (tmp_path / "old.yaml").write_text("old")
        fill(tmp_path)
        os.chdir(tmp_path)

    def work() -> None:
        result = done("fit", home / "spec.yaml", "--budget", "10MiB", "--write", "old.yaml", "--force")
        assert result.returncode == 3, result
        assert "error: cannot write old.yaml: No space left on device" in result.stderr
        assert (tmp_path / "old.yaml").read_text() == "old"

    result = start(work, before).wait()
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_command_that_is_interrupted_says_so(number: signal.Signals, tmp_path: Path) -> None:
    """While it reads its spec, for example."""

    def before() -> None:
        def read(*_: object) -> bytes:
            signal.raise_signal(number)
            raise AssertionError

        files.read = read

    result = done("validate", "spec.yaml", before=before)
    assert (result.returncode, result.stderr) == (130, "error: interrupted\n")


class _Unwritable(Exception):
    """What a library makes of no memory."""


@pytest.mark.parametrize("steps", [1, 2])
def test_no_memory_is_seen_behind_what_a_library_says_of_it(steps: int, capfd: pytest.CaptureFixture[str]) -> None:
    def library() -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            wrapped = _Unwritable("a value cannot be written")
            if steps == 1:
                raise wrapped from error
            try:
                raise wrapped
            except _Unwritable:
                raise UserWarning("the value is left out")  # noqa: B904  as a filter of warnings raises it

    with pytest.raises(SystemExit, match="3"), program.in_words():
        library()
    assert "error: out of memory" in capfd.readouterr().err


def test_what_no_machine_has_caused_keeps_its_traceback() -> None:
    with pytest.raises(KeyError, match="ours"), program.in_words():
        raise KeyError("ours")
