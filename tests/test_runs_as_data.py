"""Run directories as data: whatever state one is in, it is read, and what is wrong with it is said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from runtime.run.lock import locked
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer
from specc.runs import RunRecord, find_runs, read_run
from specc.runs.manifest import sealed
from specc.runs.names import ENVIRONMENT, LOCK, METRICS, PLAN, RESOLVED, SPEC, SUMMARY
from specc.runs.owner import Owner
from specc.spec.dump import dump

from .checkpoints import flip
from .test_resume import plan_of, stopped

WRITTEN = (SPEC, RESOLVED, PLAN, ENVIRONMENT)


def trainer_in(folder: Path) -> Trainer:
    plan = plan_of("SGD")
    run = RunDir.create(plan, "name: as given\n", dump(plan.config), folder)
    return Trainer(plan, torch.device("cpu"), run, Silence(), dump(plan.config))


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("as-data") / "runs" / "tiny" / "one"
    trainer_in(folder).train()
    return folder


@pytest.fixture
def run(completed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(completed, tmp_path / "run"))


def resummed(run: Path, **said: object) -> None:
    """Write another summary."""
    document = json.loads((run / SUMMARY).read_text()) | said
    document.pop("blake2b")
    (run / SUMMARY).write_text(json.dumps(sealed(document)))


def leave_lock(run: Path, **owner: object) -> None:
    """As a process does that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (run / LOCK).write_text(json.dumps({"pid": gone.pid, "host": Owner.self().host, "since": "then"} | owner))


# ---------------------------------------------------------------------------------------------- what is there


def test_a_run_says_what_it_was_started_with_and_how_it_ended(completed: Path) -> None:
    found = read_run(completed)
    assert (found.status, found.remarks, found.path, found.name) == ("completed", (), completed, "tiny")
    assert found.plan == plan_of("SGD")
    assert found.spec == "name: as given\n"
    assert found.resolved == dump(plan_of("SGD").config)
    assert found.env["plans"] == [plan_of("SGD").fingerprint]
    assert [row["epoch"] for row in found.metrics] == [1, 2]
    assert found.summary["test"] == found.said.test
    assert found.said.history[-1].test["accuracy"] == found.said.test["accuracy"] == found.metrics[-1]["test_accuracy"]
    assert found.changed >= (completed / SUMMARY).stat().st_mtime
    assert (found.owner, found.resume_command) == (None, None)


def test_a_plan_is_left_out_where_nobody_asks_for_it(completed: Path) -> None:
    found = read_run(completed, with_plan=False)
    assert (found.plan, found.status, found.remarks, found.name) == (None, "completed", (), "tiny")


# ---------------------------------------------------------------------------------------------- how it ended


def test_a_run_that_goes_on_is_running_whoever_looks(run: Path) -> None:
    with locked(run):
        for _ in range(2):
            found = read_run(run)
            assert (found.status, found.owner, found.resume_command) == ("running", Owner.self(), None)
    assert read_run(run).status == "completed"


def test_a_stopped_run_is_interrupted_and_says_how_to_go_on(tmp_path: Path) -> None:
    stopped(trainer_in(tmp_path / "a run"), 1, 0)
    found = read_run(tmp_path / "a run")
    assert (found.status, found.remarks) == ("interrupted", ())
    assert found.resume_command == f"specc resume '{tmp_path / 'a run'}'"
    assert len(found.metrics) == len(found.said.history) == 1


def test_a_failed_run_is_failed_with_its_cause(run: Path) -> None:
    resummed(run, status="failed", cause="out of memory")
    found = read_run(run)
    assert (found.status, found.said.cause) == ("failed", "out of memory")
    assert found.resume_command


def test_a_killed_run_is_killed_whatever_its_summary_says_of_before(run: Path) -> None:
    leave_lock(run)
    assert read_run(run).status == "completed", "it died when all was said"
    resummed(run, status="interrupted")
    assert read_run(run).status == "killed"
    (run / SUMMARY).unlink()
    found = read_run(run)
    assert (found.status, found.owner, found.remarks) == ("killed", None, ())


def test_a_lock_whose_number_another_process_has_now_is_left_behind(run: Path) -> None:
    (run / SUMMARY).unlink()
    leave_lock(run, pid=os.getpid())
    assert read_run(run).status == "killed"


def test_a_lock_of_another_machine_may_be_held(run: Path) -> None:
    leave_lock(run, host="elsewhere", pid=1)
    found = read_run(run)
    assert found.status == "running"
    assert found.owner == Owner(1, "elsewhere", "then")


def test_a_lock_that_was_taken_this_moment_is_not_yet_written_to(run: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, "
         "flush=True); input()", str(run / LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    assert read_run(run).status == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    os.utime(run / LOCK, (1, 1))
    assert read_run(run).status == "completed"


def test_a_run_that_was_to_go_on_with_other_keys_is_not_complete(run: Path) -> None:
    """As one is that was given more epochs, and could not begin with them."""
    resummed(run, plan_fingerprint="of before")
    assert read_run(run).status == "unknown"
    leave_lock(run)
    assert read_run(run).status == "killed"


# ---------------------------------------------------------------------------------------------- damage


def damages() -> dict[str, Callable[[Path], object]]:
    return {
        "a byte": flip,
        "nothing": lambda path: path.write_bytes(b""),
        "binary": lambda path: path.write_bytes(b"\xff\xfe\x00"),
        "deep": lambda path: path.write_bytes(b"[" * 100_000),
        "gone": Path.unlink,
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a link": lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
        "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    }


@pytest.mark.parametrize("name", [*WRITTEN, "manifest.json", SUMMARY, METRICS])
@pytest.mark.parametrize("damage", list(damages()))
def test_what_is_damaged_is_a_remark_and_the_rest_is_read(damage: str, name: str, run: Path, completed: Path) -> None:
    damages()[damage](run / name)
    found, whole = read_run(run), read_run(completed)
    quiet = name in (SUMMARY, METRICS) and damage == "gone"
    quiet |= name == METRICS and damage in ("nothing", "a byte")  # a table of no epoch; its last byte ends a line
    assert [remark for remark in found.remarks if name in remark] or quiet
    assert len(found.remarks) <= 1
    beside = {"spec": SPEC, "resolved": RESOLVED, "plan": PLAN, "env": ENVIRONMENT, "metrics": METRICS}
    for part in (part for part, file in beside.items() if file != name):
        assert getattr(found, part) == getattr(whole, part), part
    assert (found.status == "damaged") == (name in (RESOLVED, PLAN, "manifest.json"))
    assert (found.resume_command is None) == (name != SUMMARY)


def test_a_sealed_summary_may_say_anything(run: Path) -> None:
    for wrong in ({"test": [1]}, {"history": 3}, {"memory": {"measured_peak_bytes": "many"}}, {"seed": 1e300}):
        resummed(run, **{"test": {}, "history": [], "memory": {}, "seed": 0} | wrong)
        found = read_run(run)
        assert (found.summary, found.said.name, found.status) == ({}, "", "unknown")
        assert found.remarks[0].startswith(f"summary.json is damaged: {next(iter(wrong))}"), found.remarks


def test_a_summary_of_an_older_specc_says_what_it_can(run: Path) -> None:
    document = json.loads((run / SUMMARY).read_text())
    for key in ("seed", "history", "wall_seconds", "hardware", "parameters", "blake2b"):
        del document[key]
    (run / SUMMARY).write_text(json.dumps(sealed(document)))
    found = read_run(run)
    assert (found.status, found.remarks, found.said.seed, found.said.history) == ("completed", (), None, ())


@pytest.mark.parametrize("place", ["none", "a\0b", "file"])
def test_a_place_without_a_run_is_read_too(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = read_run(tmp_path / place)
    assert isinstance(found, RunRecord)
    assert (found.status, found.plan, found.metrics) == ("damaged", None, ())
    assert found.remarks


# ---------------------------------------------------------------------------------------------- finding


def test_runs_are_found_by_any_name_on_the_way_to_them(tmp_path: Path) -> None:
    places = ("man/1", "man/2", "hpff/1", "deep/er/3")
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / SUMMARY).write_text("{}")
    (tmp_path / "man" / "1" / "checkpoints" / "0" / PLAN).mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "around").symlink_to(tmp_path / "man")
    (tmp_path / "man" / "again").symlink_to(tmp_path)

    def found(pattern: str = "*") -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path, pattern)]

    assert found() == sorted(places)
    assert found("man") == ["man/1", "man/2"]
    assert found("*/1") == ["hpff/1", "man/1"]
    assert found("1") == ["hpff/1", "man/1"]
    assert found("[dh]*") == ["deep/er/3", "hpff/1"]
    assert found("nobody") == []
    assert find_runs(tmp_path / "man" / "1") == [tmp_path / "man" / "1"]
    assert find_runs(tmp_path / "none") == []
    assert find_runs(tmp_path / "a\0b") == []


def test_a_run_whose_plan_and_summary_are_gone_is_found(run: Path) -> None:
    for name in (SUMMARY, PLAN):
        (run / name).unlink()
    assert find_runs(run.parent) == [run]
