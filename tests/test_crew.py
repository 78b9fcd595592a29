"""The processes of a comparison: so many at a time, stopped together, and none is left however it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from specc.comparing import crew
from specc.comparing.crew import Surroundings, Watch, Worker, train
from specc.comparing.jobs import LOG, Job, Standing

from .processes import PATIENCE, start

# Does what the last word says, in place of training; what it started is a `sleep`.
WORKS = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
folder, what = Path(sys.argv[sys.argv.index("--run-dir") + 1]), sys.argv[-2]
started = [] if what == "quick" else [subprocess.Popen(["sleep", "1000"]).pid]
(folder / "pids").write_text(json.dumps([os.getpid(), *started]))
began = [sys.argv[1:], os.environ.get("OMP_NUM_THREADS"), os.getsid(0) == os.getpid()]
(folder / "began").write_text(json.dumps(began))
print("error: the data are gone") if what == "fails" else print("fine")
heard = 0
def hear(number, frame):
    global heard
    heard += 1
    (folder / f"heard{heard}").touch()
if what in ("waits", "deaf", "stubborn", "tied"):
    if what == "tied":
        from specc.commands.worker import tied
        tied()
        signal.signal(signal.SIGTERM, hear)
    signal.signal(signal.SIGTERM if what == "deaf" else signal.SIGINT, hear)
    (folder / "ready").touch()
    while heard < (1 if what != "stubborn" else 1000):
        time.sleep(0.01)
sys.exit({"fails": 3, "waits": 130, "deaf": 130}.get(what, 0))
"""


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "PROGRAM", (sys.executable, "-c", WORKS))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def job(home: Path, what: str, seed: int = 0) -> Standing:
    return Standing(Job(home / "spec.yaml", "name", seed, (what, f"train.seed={seed}"), 1, "f" * 64, home))


def folders(home: Path) -> list[Path]:
    return sorted(path for path in home.iterdir() if path.is_dir())


def left(home: Path) -> list[int]:
    """Which of the processes are still there."""
    pids = [pid for folder in folders(home) for pid in json.loads((folder / "pids").read_text())]
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and _state(pid) != "Z"]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def wait_for(condition: Callable[[], object]) -> None:
    given_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < given_up
        time.sleep(0.01)


class Asks(Watch):
    """Sends this process signals, each as soon as all that work have heard the one before."""

    def __init__(self, home: Path, *numbers: int) -> None:
        self.home, self.numbers, self.most = home, list(numbers), 0

    def goes_on(self, working: Sequence[Worker]) -> None:
        self.most = max(self.most, len(working))
        sent = len([each for each in self.numbers if each == 0])
        ready = [folder / (f"heard{sent}" if sent else "ready") for folder in (each.folder for each in working)]
        if sent < len(self.numbers) and ready and all(path.exists() for path in ready):
            number, self.numbers[sent] = self.numbers[sent], 0
            os.kill(os.getpid(), number)


def test_so_many_are_trained_at_a_time_and_what_came_of_each_is_told(tmp_path: Path) -> None:
    todo = [job(tmp_path, what, seed) for seed, what in enumerate(["quick", "fails", "quick"])]
    watch = Asks(tmp_path)
    done, whole = train(todo, Surroundings(2, ("--device", "cpu")), watch)
    assert (whole, watch.most) == (True, 2)
    assert {each.job.seed: each.cause for each in done} == {0: None, 1: "the data are gone", 2: None}
    wait_for(lambda: left(tmp_path) == [])
    words, threads, own_session = json.loads((folders(tmp_path)[0] / "began").read_text())
    assert words == ["run", "--device", "cpu", "--run-dir", str(tmp_path / "seed0-ffffffff"), "--",
                     str(tmp_path / "spec.yaml"), "quick", "train.seed=0"]  # fmt: skip
    assert (threads, own_session) == ("1", True)
    assert (tmp_path / "seed1-ffffffff" / LOG).read_text() == "error: the data are gone\n"


def test_one_alone_has_all_threads_and_whoever_says_otherwise_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at_once, said, expected in ((1, None, None), (1, "7", "7"), (2, "7", "7")):
        if said:
            monkeypatch.setenv("OMP_NUM_THREADS", said)
        home = tmp_path / f"{at_once}{said}"
        train([job(home, "quick")], Surroundings(at_once), Watch())
        assert json.loads((home / "seed0-ffffffff" / "began").read_text())[1] == expected


@pytest.mark.parametrize(("what", "number"), [("waits", signal.SIGINT), ("deaf", signal.SIGTERM)],
                         ids=["SIGINT", "SIGTERM"])  # fmt: skip
def test_a_signal_is_passed_on_and_nothing_more_is_begun(what: str, number: int, tmp_path: Path) -> None:
    """As the one that it is: in the background of a script nobody hears SIGINT."""
    todo = [job(tmp_path, what, seed) for seed in range(3)]
    done, whole = train(todo, Surroundings(2), Asks(tmp_path, number))
    assert (whole, len(done), len(folders(tmp_path))) == (False, 2, 2)
    assert [each.cause for each in done] == ["ended with exit code 130"] * 2
    wait_for(lambda: left(tmp_path) == [])  # what they started is gone with them
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_is_passed_on_too_and_after_a_third_nothing_is_waited_for(tmp_path: Path) -> None:
    done, _ = train([job(tmp_path, "stubborn")], Surroundings(), Asks(tmp_path, *[signal.SIGINT] * 3))
    assert (folders(tmp_path)[0] / "heard2").exists()
    assert [each.cause for each in done] == ["ended by signal 9"]
    wait_for(lambda: left(tmp_path) == [])


def test_a_mistake_leaves_no_process(tmp_path: Path) -> None:
    class Fails(Watch):
        def goes_on(self, working: Sequence[Worker]) -> None:
            if all((each.folder / "ready").exists() for each in working):
                raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        train([job(tmp_path, "tied", seed) for seed in range(2)], Surroundings(2), Fails())
    assert [(folder / "heard1").exists() for folder in folders(tmp_path)] == [True, True]
    wait_for(lambda: left(tmp_path) == [])


def test_whoever_is_killed_takes_its_workers_along(tmp_path: Path) -> None:
    parent = start(lambda: train([job(tmp_path, "tied")], Surroundings(), Watch()))
    wait_for(lambda: folders(tmp_path) and (folders(tmp_path)[0] / "ready").exists())
    worker, sleep = json.loads((folders(tmp_path)[0] / "pids").read_text())
    parent.kill(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: worker not in left(tmp_path))
    assert (folders(tmp_path)[0] / "heard1").exists(), "as for Ctrl-C: there was time to save"
    os.kill(sleep, signal.SIGKILL)


def test_who_is_not_in_the_main_thread_trains_all_the_same(tmp_path: Path) -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(train([job(tmp_path, "quick")], Surroundings(), Watch())[1]))
    thread.start()
    thread.join()
    assert found == [True]


def test_words_of_a_log_that_are_older_than_the_process_are_not_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "seed0-ffffffff"
    folder.mkdir()
    (folder / LOG).write_text("error: the data are gone\n")
    (done,), _ = train([job(tmp_path, "waits")], Surroundings(), Asks(tmp_path, signal.SIGINT))
    assert (tmp_path / "seed0-ffffffff" / LOG).read_text() == "error: the data are gone\nfine\n"
    assert done.cause == "ended with exit code 130"
