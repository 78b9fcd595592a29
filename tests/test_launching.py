"""`specc run --nproc`: processes that train one run begin together, agree, and end together, whatever ends one of them.

Every failure here is of real processes: of runs, or of `tests/stepping.py`, which takes steps until something happens.
Processes are forked from one that has torch (`tests/forked.py`); whole Pythons are in `tests/test_launched_apart.py`.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from runtime.distributed import agreement, meeting, world
from specc.runs.checkpoints import exists, listed
from tests.commands import specc
from tests.documents import document
from tests.forked import Forked, family, is_alive, listening, state, still_open

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left behind where Linux has it")


class Launched:
    """A launcher, the ranks that it has started, and what all of them have of the machine."""

    def __init__(self, folder: Path, words: Sequence[str | Path], **variables: str) -> None:
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.process = Forked(words, folder, {"TMPDIR": str(self.temporary)} | variables)
        self.ranks: list[int] = []  # their numbers
        self.members: list[int] = []  # of all processes
        self.ports: set[str] = set()

    def reaches(self, done: Callable[[], bool]) -> None:
        """Wait until all ranks work."""
        self.process.until(done)
        launcher, *others = self.members = family(self.process.pid)
        told = sorted(self.temporary.glob("specc-*/pid*"))
        self.ranks = [int(path.read_text()) for path in told]
        assert set(self.ranks) <= set(others)
        self.ports = listening([launcher, *others])

    def ends(self, *, waited_for: bool = True) -> tuple[int, str]:
        """The exit code and what was said; nothing is left behind."""
        found = self.process.ends()
        end = time.monotonic() + 30
        while (any(map(is_alive, self.members)) or still_open(self.ports)) and time.monotonic() < end:
            time.sleep(0.05)  # a process has not ended before its last thread has
        assert not [pid for pid in self.members if is_alive(pid)]
        assert not waited_for or not [pid for pid in self.ranks if state(pid)], "zombies"
        assert still_open(self.ports) == set()
        assert list(self.temporary.iterdir()) == []
        mine = tuple(f"torch_{pid}_" for pid in (self.process.pid, *self.members))
        assert [name for name in os.listdir("/dev/shm") if name.startswith(mine)] == []
        return found

    def kill(self) -> None:
        for pid in filter(is_alive, {*self.members, *family(self.process.pid)}):
            os.kill(pid, signal.SIGKILL)
        self.process.kill()


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    all: list[Launched] = []

    def start(*words: str | Path, **variables: str) -> Launched:
        all.append(Launched(tmp_path, words, **variables))
        return all[-1]

    yield start
    for each in all:
        each.kill()


@pytest.fixture
def stepping(tmp_path: Path, launched: Callable[..., Launched]) -> Callable[..., Launched]:
    """Two ranks that take steps."""

    def start(steps: int = 100_000, timeout: float = 60, what: str = "") -> Launched:
        (tmp_path / "spec.json").write_text(json.dumps(document(devices={"data_parallel": 2})))
        run = launched("tests.launching", "spec.json", str(steps), str(timeout), *filter(None, [what]))
        if steps > 100 and not what:
            run.reaches(lambda: all((tmp_path / f"at{rank}").exists() for rank in range(2)))
        return run

    return start


SPEC = document(data=document()["data"] | {"samples": 12}, train={"epochs": 100_000}, name="several")
RUN = ("specc", "run", "spec.json", "--device", "cpu", "--no-report", "--run-dir", "run")


def first_line(said: str) -> str:
    """Of what is said of an end; what stands before it are a run's own words."""
    return next(line for line in said.splitlines() if line.startswith("error: "))


# ------------------------------------------------------------------------------------------- a rank that fails


def test_a_run_of_which_a_rank_was_killed_names_it_and_goes_on_with_the_command_that_it_names(
    tmp_path: Path, launched: Callable[..., Launched]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    run = launched(*RUN, "--nproc", "2")
    run.reaches(lambda: exists(tmp_path / "run"))
    assert len(run.ranks) == 2
    assert len(run.ports) > 1, "the launcher's, and one of every rank at least"
    os.kill(run.ranks[1], signal.SIGKILL)
    code, said = run.ends()
    error, *help = said.splitlines()[said.splitlines().index(first_line(said)) :]
    assert (code, error) == (3, "error: rank 1 was killed (signal 9): the machine may have run out of memory")
    assert help[-2:] == ["  = help: the last checkpoint stands", "  = help: then: specc resume run --nproc 2"]
    epochs = int(listed(tmp_path / "run")[0].partition(".")[0]) // 2 + 1  # of two steps each
    again = help[-1].partition("then: ")[2]
    code, said = launched(*shlex.split(again), "--device", "cpu", "--no-report", f"train.epochs={epochs}").ends()
    assert (code, "resuming several from " in said) == (0, True), said
    done = specc("resume", "run", "devices.data_parallel=1", f"train.epochs={epochs + 1}", "--no-report", cwd=tmp_path)
    assert (done.returncode, "resuming several from " in done.stderr) == (0, True), done.stderr


def test_the_first_rank_is_named_like_any_other_where_it_is_killed(stepping: Callable[..., Launched]) -> None:
    run = stepping()
    os.kill(run.ranks[0], signal.SIGKILL)
    code, said = run.ends()
    killed = "error: rank 0 was killed (signal 9): the machine may have run out of memory"
    assert (code, said.splitlines()[0]) == (3, killed)


def test_a_rank_that_hangs_is_named_after_the_timeout(stepping: Callable[..., Launched]) -> None:
    run = stepping(timeout=2)
    os.kill(run.ranks[1], signal.SIGSTOP)
    code, said = run.ends()
    first = said.splitlines()[0]
    assert code == 3
    assert first.startswith("error: rank 1, which was ")
    assert "did not answer for 2 s while rank 0 waited at `" in first


@pytest.mark.parametrize(
    ("what", "said"),
    [
        pytest.param("nccl", "gave up, as another rank did not answer (signal 6): Watchdog caught collective operation "
                     "timeout: WorkNCCL(SeqNum=7, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for "
                     "600013 milliseconds before timing out.", id="nccl"),
        pytest.param("abort", "aborted (signal 6): free(): invalid pointer", id="library"),
    ],
)  # fmt: skip
def test_of_a_rank_that_is_aborted_is_said_what_it_waited_for(
    what: str, said: str, stepping: Callable[..., Launched]
) -> None:
    code, words = stepping(what=what).ends()
    assert (code, first_line(words)) == (3, f"error: rank 1 {said}")


WITHOUT_WORDS = ", which torch does to one on a GPU that waits too long for another"


def test_who_hangs_is_not_waited_for_once_another_rank_was_killed(stepping: Callable[..., Launched]) -> None:
    run = stepping()
    os.kill(run.ranks[0], signal.SIGSTOP)
    os.kill(run.ranks[1], signal.SIGABRT)
    code, said = run.ends()  # long before torch's launcher would end it, which waits as long as a checkpoint may take
    assert (code, first_line(said)) == (3, f"error: rank 1 aborted (signal 6){WITHOUT_WORDS}")


@pytest.mark.parametrize("number", [
    signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full), signal.SIGUSR1,
])  # fmt: skip
def test_a_signal_to_the_launcher_asks_all_ranks_to_save_and_to_end(
    number: signal.Signals, stepping: Callable[..., Launched]
) -> None:
    run = stepping()
    os.kill(run.process.pid, number)
    code, said = run.ends()
    assert (code, said.splitlines()[0]) == (130, "error: interrupted; checkpoint saved")


def test_ranks_end_with_a_launcher_that_is_killed(stepping: Callable[..., Launched]) -> None:
    run = stepping()
    os.kill(run.process.pid, signal.SIGKILL)
    assert "frame #" not in run.ends(waited_for=False)[1], "torch's pages"


def test_ranks_end_together_where_nothing_happens(stepping: Callable[..., Launched]) -> None:
    assert stepping(steps=3).ends() == (0, "")


# ------------------------------------------------------------------------------------------- agreement


def together(folder: Path, *programs: tuple[Sequence[str], Callable[[], None] | None]) -> list[tuple[int, str]]:
    """Ranks that nobody has started for them, each with its words and what is to be done in it before."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(len(programs))}
    started = [
        Forked(words, folder, common | {"RANK": str(rank)}, before) for rank, (words, before) in enumerate(programs)
    ]
    try:
        return [each.ends() for each in started]
    finally:
        for each in started:
            each.kill()


def is_older() -> None:
    agreement.__version__ = "9"  # type: ignore[attr-defined]


def sees_a_gpu() -> None:
    """Where there is none, nothing is computed on it: ranks agree before."""
    world.device_of = lambda place, name: torch.device("cuda", place.local)
    torch.cuda.get_device_name = torch.cuda.is_available = lambda *_: True  # type: ignore[assignment]


def run(spec: str, timeout: int = 30) -> Sequence[str]:
    return ("specc", "run", spec, "--no-report", "--run-dir", "run", "--timeout", str(timeout))


@pytest.mark.parametrize(
    ("other", "before", "said"),
    [
        pytest.param("other.json", None, "rank 1 has another spec than rank 0", id="spec"),
        pytest.param("spec.json", is_older, "rank 1 has specc 9, and rank 0 has specc ", id="version"),
        pytest.param("spec.json", sees_a_gpu, "rank 1 has a device of kind cuda, and rank 0 has", id="device"),
    ],
)
def test_ranks_that_do_not_belong_together_do_not_begin(
    other: str, before: Callable[[], None] | None, said: str, tmp_path: Path
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    (tmp_path / "other.json").write_text(json.dumps(document(name="tiny", train={"epochs": 7})))
    ends = together(tmp_path, (run("spec.json"), None), (run(other), before))
    for code, words in ends:
        assert code == 3
        assert first_line(words).startswith(f"error: {said}")
    assert not (tmp_path / "run").exists()


def test_a_rank_that_does_not_come_is_named(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    (code, words), _ = together(tmp_path, (run("spec.json", timeout=2), None), (("keyword",), None))
    assert (code, first_line(words)) == (3, "error: rank 1 did not come within 2 s")


@pytest.mark.full  # torch closes a meeting for half a minute
def test_a_machine_that_does_not_come_is_waited_for_as_long_as_asked(
    tmp_path: Path, launched: Callable[..., Launched]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    alone = launched(*run("spec.json", timeout=4), "--nodes", "2", "--rendezvous", "127.0.0.1:0")
    code, said = alone.ends()
    assert (code, first_line(said)) == (3, "error: the 2 machines did not meet at 127.0.0.1:0 within 4 s")


def test_an_address_of_no_machine_is_said(tmp_path: Path, launched: Callable[..., Launched]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(document()))
    code, said = launched(*run("spec.json", timeout=2), "--nodes", "2", "--rendezvous", "nobody.invalid:29500").ends()
    assert (code, first_line(said).partition(":29500: ")[0]) == (3, "error: nobody answers at nobody.invalid")


def test_an_address_is_this_machines_where_one_can_listen_to_it() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.3", 0))
        port = other.getsockname()[1]
        other.listen()
        here = [meeting.is_here(host, port) for host in ("127.0.0.2", "127.0.0.3", "192.0.2.1", "nobody.invalid")]
    assert here == [True, False, False, False], "free; taken by another launcher; another machine's; nobody's"
    assert meeting.meeting("127.0.0.2:29500", 7)["local_addr"] == "127.0.0.2"


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
