"""`specc run --nproc`: processes that train one run begin together, agree, and end together, whatever ends one of them.

Every failure here is of real processes: `tests/stepping.py`, which takes steps until something happens.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from specc.system import ranks
from tests.commands import specc, surroundings
from tests.documents import document

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left behind where Linux has it")
LAUNCH = """
import sys
from specc.commands.shared import failures_shown
from runtime.distributed.launcher import Launch, start
with failures_shown():
    start(Launch(2), sys.argv[1:], "tests.stepping")
"""
PATIENCE = 100.0  # seconds; a deadlock must end a test


class Started:
    """A launcher, what it says, and the ranks that it has started."""

    def __init__(self, folder: Path, steps: int, timeout: float) -> None:
        self.folder = folder
        (folder / "spec.json").write_text(json.dumps(document(devices={"data_parallel": 2})))
        (folder / "tmp").mkdir()
        env = surroundings() | {"TMPDIR": str(folder / "tmp"), "TORCHINDUCTOR_CACHE_DIR": str(folder)}
        words = [sys.executable, "-c", LAUNCH, "spec.json", str(steps), str(timeout)]
        self.process = subprocess.Popen(words, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
        self.ranks: list[int] = []  # their numbers

    def stepping(self) -> None:
        """Wait until all ranks have taken a step."""
        self._until(lambda: all((self.folder / f"at{rank}").exists() for rank in range(2)))
        (reports,) = (self.folder / "tmp").glob("specc-*")
        self.ranks = [int(ranks.left(reports, f"pid{rank}")) for rank in range(2)]

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        """The exit code and what was said; nothing is left behind."""
        said = self.process.communicate(timeout=PATIENCE)[1]
        self.nothing_left()
        return self.process.returncode, said

    def nothing_left(self) -> None:
        end = time.monotonic() + 30
        while any(map(is_alive, self.ranks)):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert not list((self.folder / "tmp").iterdir())
        mine = tuple(f"torch_{pid}_" for pid in self.ranks)
        assert not [name for name in os.listdir("/dev/shm") if mine and name.startswith(mine)]

    def kill(self) -> None:
        for pid in filter(is_alive, self.ranks):
            os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    all: list[Started] = []

    def start(steps: int = 100_000, timeout: float = 60) -> Started:
        all.append(Started(tmp_path, steps, timeout))
        return all[-1]

    yield start
    for each in all:
        each.kill()


@pytest.mark.full
def test_ranks_end_together_where_nothing_happens(started: Callable[..., Started]) -> None:
    assert started(steps=3).end() == (0, "")


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.full), 1])
def test_a_killed_rank_is_named(rank: int, started: Callable[..., Started]) -> None:
    run = started()
    run.stepping()
    os.kill(run.ranks[rank], signal.SIGKILL)
    code, said = run.end()
    first, *help = said.splitlines()
    assert (code, first) == (3, f"error: rank {rank} was killed (signal 9): the machine may have run out of memory")
    assert help[-1] == f"  = help: then: specc resume {run.folder / 'run'} --nproc 2"


def test_a_rank_that_hangs_is_named_after_the_timeout(started: Callable[..., Started]) -> None:
    run = started(timeout=3)
    run.stepping()
    os.kill(run.ranks[1], signal.SIGSTOP)
    code, said = run.end()
    first = said.splitlines()[0]
    assert code == 3
    assert first.startswith("error: rank 1, which was ")
    assert "did not answer for 3 s while rank 0 waited at `" in first


@pytest.mark.parametrize("number", [
    pytest.param(signal.SIGINT, marks=pytest.mark.full), pytest.param(signal.SIGTERM, marks=pytest.mark.full),
    signal.SIGUSR1,
])  # fmt: skip
def test_a_signal_to_the_launcher_asks_all_ranks_to_save_and_to_end(
    number: signal.Signals, started: Callable[..., Started]
) -> None:
    run = started()
    run.stepping()
    run.process.send_signal(number)
    code, said = run.end()
    assert (code, said.splitlines()[0]) == (130, "error: interrupted; checkpoint saved")


def test_ranks_end_with_a_launcher_that_is_killed(started: Callable[..., Started]) -> None:
    run = started()
    run.stepping()
    run.process.kill()
    assert "frame #" not in run.end()[1], "torch's pages"


# ------------------------------------------------------------------------------------------- agreement


def together(folder: Path, *programs: str, timeout: float = 20) -> list[tuple[int, str]]:
    """Ranks that nobody has started for them, each another program."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = surroundings() | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(len(programs))}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(timeout)], cwd=folder, env=common | {"RANK": str(rank)},
            stderr=subprocess.PIPE, text=True,
        ) for rank, program in enumerate(programs)
    ]  # fmt: skip
    try:
        return [(each.communicate(timeout=PATIENCE)[1], each.returncode)[::-1] for each in started]
    finally:
        for each in started:
            if each.poll() is None:
                each.kill()
                each.communicate()


AGREES = "import sys; from tests.stepping import agree; {}agree('{}', float(sys.argv[1]), '{}')"
OLDER = "import runtime.distributed.agreement as a; a.__version__ = '9'; "
SAME = AGREES.format("", "spec.json", "cpu")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        pytest.param(AGREES.format("", "other.json", "cpu"), "rank 1 has another spec than rank 0", id="spec"),
        pytest.param(AGREES.format(OLDER, "spec.json", "cpu"),
                     "rank 1 has specc 9, and rank 0 has specc ", id="version", marks=pytest.mark.full),
        pytest.param(AGREES.format("", "spec.json", "cuda"), "rank 1 has a device of kind cuda, and rank 0 ",
                     id="device", marks=pytest.mark.full),
        pytest.param("raise SystemExit(0)", "rank 1 did not come within 3 s", id="absent"),
    ],
)  # fmt: skip
def test_ranks_that_do_not_belong_together_do_not_begin(other: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    (tmp_path / "other.json").write_text(json.dumps(document(name="tiny", train={"epochs": 7})))
    (first, words), (second, more) = together(tmp_path, SAME, other, timeout=3 if "SystemExit" in other else 20)
    assert first == 3
    assert second in (0, 3)
    assert f"error: {said}" in words + more
    assert (words + more).count("error: ") == (1 if second == 0 else 2) or "Traceback" not in words + more


# ------------------------------------------------------------------------------------------- the command line


def test_a_spec_for_other_numbers_of_devices_is_refused_with_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document(devices={"block_parallel": 2})))
    done = specc("run", "spec.json", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the spec is for 2 devices, and this is one process\n")
    assert "specc run spec.json --nproc 2\n" in done.stderr
    assert "torchrun --nproc-per-node 2 -m specc run spec.json\n" in done.stderr
    done = specc("run", "spec.json", "--device", "cpu", "--nproc", "3", cwd=tmp_path)
    assert done.stderr.startswith("error: the spec is for 2 devices, and these are 3 processes\n")


@pytest.mark.parametrize(
    "words", [("--nodes", "2"), ("--rendezvous", "localhost:1"), ("--nproc", "2", "--gpu", "0"), ("--nproc", "0")]
)
def test_options_that_say_too_little_or_too_much_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    assert specc("run", "spec.json", *words, cwd=tmp_path).returncode == 2


def test_a_process_of_torchrun_starts_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    assert "torchrun has started this one of 2" in specc("run", "spec.json", "--nproc", "2", cwd=tmp_path).stderr
