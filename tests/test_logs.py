"""`train.log`: what other tools are told of a run, read back with their own readers, and that none of them ends it."""

from __future__ import annotations

import json
import struct
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import wandb
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.errors import UsageError, term
from wandb.proto import wandb_internal_pb2 as records

from runtime.run.logs import beginning, keeping
from runtime.run.logs.protocol import LoggedRun
from runtime.run.logs.wandb import Adapter
from runtime.run.rundir import RunDir
from specc.checking import check_text
from specc.spec.sections.log import LOGS, Log
from specc.spec.sections.train import Train

from .commands import ROOT, Result, checked, specc
from .documents import compiled, document

ALL = ["csv", "tensorboard", "wandb", "mlflow"]
HEADER, BLOCK = 7, 32_768  # of wandb's files: before the first record, and what no record's head lies across


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    _at_home(monkeypatch)


def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person who runs the tests, and no network."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_DIR", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def spec(folder: Path, log: list[str], epochs: int = 2) -> Path:
    path = folder / "spec.yaml"
    path.write_text(json.dumps(document(split={"blocks": 2}, train={"epochs": epochs, "log": log})))
    return path


def run(folder: Path, *words: str, log: list[str] = ALL) -> Result:
    return specc("run", spec(folder, log), "--device", "cpu", "--run-dir", folder / "run", *words, cwd=folder)


def rows(folder: Path) -> list[dict[str, float]]:
    """`metrics.csv`, as logs name its columns."""
    text = (folder / "run" / "metrics.csv").read_text()
    return [keeping.figures_of(row) for row in keeping.rows(text)]


# ---------------------------------------------------------------------------------------------- what the tools read


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs in all logs, which went on for a third."""
    folder = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        _at_home(patch)
        first = run(folder)
        assert (first.returncode, "warning" in first.stderr) == (0, False), first.stderr
        second = specc("resume", folder / "run", "--device", "cpu", "train.epochs=3", cwd=folder)
        assert (second.returncode, "warning" in second.stderr) == (0, False), second.stderr
    return folder


def test_tensorboard_reads_every_epoch_once(gone_on: Path) -> None:
    found = EventAccumulator(str(gone_on / "run" / "logs" / "tensorboard")).Reload()
    for name, value in rows(gone_on)[-1].items():
        events = found.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3]
        assert events[-1].value == pytest.approx(value, rel=1e-6)
    (text,) = found.Tensors("spec/text_summary")
    assert b"resnet_cifar" in text.tensor_proto.string_val[0]


def test_mlflow_reads_every_epoch_once(gone_on: Path) -> None:
    client = MlflowClient(tracking_uri=(gone_on / "run" / "logs" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("tiny")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["backbone.depth"] == "14"
    assert found.data.metrics["end/test/accuracy"] == rows(gone_on)[-1]["test/accuracy"]
    for name, value in rows(gone_on)[-1].items():
        history = client.get_metric_history(found.info.run_id, name)
        assert [each.step for each in history] == [1, 2, 3]
        assert history[-1].value == value


def test_wandb_reads_every_epoch_once_under_one_id(gone_on: Path) -> None:
    files = sorted((gone_on / "run" / "logs" / "wandb").rglob("*.wandb"))
    told = [record for file in files for record in wandb_records(file)]
    runs = [record.run for record in told if record.WhichOneof("record_type") == "run"]
    assert len(files) == 2
    assert {each.run_id for each in runs} == {json.loads((gone_on / "run/logs/wandb.json").read_text())["id"]}
    assert {each.project for each in runs} == {"tiny"}
    epochs = [record.history for record in told if record.WhichOneof("record_type") == "history"]
    assert [each.step.num for each in epochs] == [1, 2, 3]
    last = {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in epochs[-1].item}
    assert {name: last[name] for name in rows(gone_on)[-1]} == rows(gone_on)[-1]


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of one of wandb's files, which has its reader in Go alone: LevelDB's log format after a header."""
    data, at, parts = file.read_bytes(), HEADER, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack_from("<xxxxHB", data, at)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = records.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


# ---------------------------------------------------------------------------------------------- before the training


def test_a_package_that_is_missing_is_said_where_it_is_named_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "find_spec", lambda name: None if name == "wandb" else object())
    result = run(tmp_path, log=["csv", "tensorboard", "wandb"])
    assert result.returncode == 3
    assert "error[SPC617]: the log `wandb` needs the package `wandb`, which is not installed" in result.stderr
    assert '"wandb"]' in result.stderr  # the line of the spec
    assert "pip install 'specc[wandb]'" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_elsewhere_without_the_log_that_cannot_be_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, log=["tensorboard"]).returncode == 0
    monkeypatch.setattr(beginning, "find_spec", lambda name: None)
    words = ("resume", tmp_path / "run", "--device", "cpu", "train.epochs=3")
    refused = specc(*words, cwd=tmp_path)
    assert refused.returncode == 3
    assert "SPC617" in refused.stderr
    assert "train.log=[csv]" in refused.stderr
    assert specc(*words, "train.log=[csv]", cwd=tmp_path).returncode == 0


def test_wandb_asks_nobody_for_a_key_while_a_run_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb.teardown()  # as if it had not been used in this process yet
    for name in ("_silent", "_sys_stdin_isatty", "_sys_stderr_isatty"):
        monkeypatch.setattr(term, name, False if name == "_silent" else lambda: True)
    monkeypatch.setattr(term, "terminput", lambda *_, **__: pytest.fail("somebody is asked"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    for name, value in {"WANDB_MODE": "online", "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="No API key configured"):
        Adapter().begin(LoggedRun("x", tmp_path, tmp_path / "wandb", "", {}, "", "cpu"))
    wandb.teardown()


def test_the_table_of_the_epochs_is_written_whatever_is_named(tmp_path: Path) -> None:
    assert run(tmp_path, "train.log=[]").returncode == 0
    assert len(rows(tmp_path)) == 2
    assert not (tmp_path / "run" / "logs").exists()


def test_a_log_decides_no_number() -> None:
    assert compiled(train={"log": ["tensorboard"]}).fingerprint == compiled().fingerprint


def test_a_log_is_named_once() -> None:
    found = check_text(json.dumps(document(train={"log": ["csv", "csv"]}))).diagnostics
    assert [each.code for each in found] == ["SPC617"]


def test_the_reference_says_what_each_log_writes() -> None:
    about = Train.model_fields["log"].description
    assert about is not None
    assert all(f"`{log.name}`: {log.writes}" in about for log in LOGS.own.values())


def test_what_a_log_needs_has_an_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {log.install for log in LOGS.own.values() if log.needs} == {f"specc[{name}]" for name in ALL[1:]}
    assert set(ALL[1:]) <= set(extras)


# ---------------------------------------------------------------------------------------------- while it is trained


class Diary:
    """A log that keeps what it is told, and fails when it is told to."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.fails_at = ""

    def __call__(self) -> Diary:
        return self

    def _fails(self, what: str) -> None:
        self.told.append(what)
        if what == self.fails_at:
            raise ConnectionError(f"no network\nat {what}")

    def begin(self, run: LoggedRun) -> str:
        self._fails(f"begin {run.id} {run.epochs}".strip())
        assert run.folder.parent.is_dir()
        return "mine"

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self._fails(f"epoch {number}")

    def end(self, status: str, figures: Mapping[str, float]) -> None:
        self._fails(status)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    made = Diary()
    monkeypatch.setitem(LOGS.own, "diary", Log("diary", "what it is told", "somewhere:Diary"))
    monkeypatch.setattr(keeping, "named", lambda name, user: made)
    return made


def told_of(folder: Path, diary: Diary, epochs: int) -> list[Any]:
    """What the log is told of a run that has so many epochs, by a process that trains no further."""
    diary.told = []
    target, said = RunDir(folder), list[str]()
    target.path.mkdir(exist_ok=True)
    lines = ["epoch,lr", *(f"{number},0.1" for number in range(1, epochs + 1))]
    target.metrics.write_text("\n".join(lines) + "\n")
    logs = keeping.Logs(target, ["csv", "diary"], said.append)
    logs.begin(LoggedRun("x", folder, folder, "", {}, "", "cpu"))
    logs.epoch({"epoch": epochs, "lr": 0.1})  # once more
    logs.end({"status": "completed"})
    return diary.told + said


def test_a_log_is_told_of_each_epoch_once_whoever_trains_it(diary: Diary, tmp_path: Path) -> None:
    assert told_of(tmp_path / "a", diary, 2) == ["begin  0", "epoch 1", "epoch 2", "completed"]
    assert told_of(tmp_path / "a", diary, 1) == ["begin mine 2", "completed"]  # gone on with from an older checkpoint
    assert told_of(tmp_path / "a", diary, 3) == ["begin mine 2", "epoch 3", "completed"]


@pytest.mark.parametrize("where", ["begin  0", "epoch 1", "epoch 2", "completed"])
def test_a_log_that_fails_ends_no_run_and_is_told_no_more(where: str, diary: Diary, tmp_path: Path) -> None:
    diary.fails_at = where
    result = run(tmp_path, log=["diary"])
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "diary" in line]
    assert said == ["warning: the log `diary` ends here, and the run goes on: no network"]
    assert diary.told[-1] == where
    assert len(rows(tmp_path)) == 2


def test_what_a_log_has_missed_it_is_told_when_the_run_goes_on(diary: Diary, tmp_path: Path) -> None:
    diary.fails_at = "epoch 2"
    told_of(tmp_path / "a", diary, 3)
    diary.fails_at = ""
    assert told_of(tmp_path / "a", diary, 4) == ["begin mine 1", "epoch 2", "epoch 3", "epoch 4", "completed"]


@pytest.mark.parametrize("kept", ['{"id": "a/b", "epochs": 1}', '{"id": "a", "epochs": -1}', "[1]", "{", '{"id": 3}'])
def test_what_is_kept_of_a_log_is_believed_only_where_it_is_what_is_written(
    kept: str, diary: Diary, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "diary.json").write_text(kept)
    assert told_of(tmp_path, diary, 1) == ["begin  0", "epoch 1", "completed"]


def test_a_log_writes_through_no_link(diary: Diary, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logs").symlink_to(tmp_path / "elsewhere")
    assert told_of(tmp_path / "run", diary, 1)[-1].endswith("is a link, and may lead anywhere")
    assert [*(tmp_path / "elsewhere").iterdir()] == []


def test_an_interrupted_run_is_told_as_that(diary: Diary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(self: Diary, number: int, figures: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Diary, "epoch", stops)
    result = run(tmp_path, log=["diary"])
    checked(result)
    assert result.returncode == 130
    assert diary.told == ["begin  0", "interrupted"]
