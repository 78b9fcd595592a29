"""A run directory from a stranger: nothing outside of it is read, written or executed, and every command answers."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load, save

from specc.plan import Plan
from specc.runs.manifest import Entry, render
from tests.commands import Result, specc
from tests.documents import document
from tests.test_security import ESCAPE, Payload

SECRET = "c2VjcmV0"  # in whatever a link of the stranger's leads to
COMMANDS = (("resume", "run", "--device", "cpu"), ("export", "run"), ("evaluate", "run", "--device", "cpu"))


@pytest.fixture(autouse=True)
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "marker"
    monkeypatch.setenv("MARKER", str(path))
    yield path
    assert not path.exists(), "a payload was executed"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that is complete."""
    folder = tmp_path_factory.mktemp("made")
    small = {"family": "resnet_cifar", "depth": 8, "widths": [2, 2, 2, 2]}
    train = {"epochs": 2, "optimizer": {"name": "sgd", "lr": 0.01}}
    spec = document(backbone=small, split={"blocks": 2}, train=train)
    spec["data"] |= {"samples": 8, "batch_size": 4}
    (folder / "spec.yaml").write_text(json.dumps(spec))
    assert specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=folder).returncode == 0
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def unfinished(run: Path) -> None:
    """As a run that was killed in its last epoch."""
    (run / "summary.json").unlink()
    last = max(path for path in (run / "checkpoints").iterdir())
    shutil.rmtree(last)


def files_of(run: Path) -> list[Path]:
    return sorted(path.relative_to(run) for path in run.rglob("*"))


def answers(done: Result, code: tuple[int, ...] = (0, 3)) -> Result:
    """No traceback, which `specc` looks for, and nothing of what a link leads to."""
    said = done.stdout + done.stderr
    assert done.returncode in code, said
    assert SECRET not in said
    assert ESCAPE not in said
    return done


def test_an_honest_run_directory_is_gone_on_with(run: Path, tmp_path: Path) -> None:
    unfinished(run)
    sealed(run)
    for words in COMMANDS:
        answers(specc(*words, cwd=tmp_path), (0,))


@pytest.mark.parametrize("finished", [True, False])
def test_no_link_in_a_run_directory_is_followed(finished: bool, run: Path, tmp_path: Path) -> None:
    """Files and folders, one after the other: what they lead to is neither read nor written to."""
    if not finished:
        unfinished(run)
    whole = tmp_path / "whole"
    run.rename(whole)
    for name in files_of(whole):
        for victim in victims(tmp_path, whole / name):
            shutil.copytree(whole, run)
            before = content_of(victim)
            remove(run / name)
            (run / name).symlink_to(victim)
            for words in COMMANDS if "checkpoints" in name.parts or name.name == "plan.json" else COMMANDS[:1]:
                answers(specc(*words, cwd=tmp_path))
                assert content_of(victim) == before, f"{' '.join(words)} writes through {name}"
            shutil.rmtree(run)


def victims(folder: Path, original: Path) -> Iterator[Path]:
    """What a link may lead to: a file of the user's, a copy of what was there, or nothing yet."""
    victim = folder / "victim"
    remove(victim)
    if original.is_dir():
        shutil.copytree(original, victim)
        yield victim
    else:
        victim.write_text(f"{SECRET}\n")
        yield victim
        shutil.copy(original, victim)
        yield victim


def content_of(path: Path) -> Any:
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    return path.read_bytes() if path.exists() else None


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


NOT_YET = (
    "run.lock", "summary.json", "metrics.csv", ".plan.json.next", ".metrics.csv.tmp", "checkpoints/000000004",
    "checkpoints/000000004/state.json", "backbone-safetensors.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("there", [True, False])
def test_what_is_to_be_written_is_not_written_through_a_link(there: bool, run: Path, tmp_path: Path) -> None:
    unfinished(run)
    whole, victim = tmp_path / "whole", tmp_path / "victim"
    run.rename(whole)
    for name in NOT_YET:
        shutil.copytree(whole, run)
        remove(victim)
        if there:
            victim.write_text(f"{SECRET}\n")
        remove(run / name)
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).symlink_to(victim)
        for words in COMMANDS[:2]:
            answers(specc(*words, cwd=tmp_path))
            assert content_of(victim) == (f"{SECRET}\n".encode() if there else None), f"{words[0]} writes to {name}"
        shutil.rmtree(run)


NEW = (
    "env.json", "spec.yaml", "plan.json", "spec.resolved.yaml", "manifest.json", ".plan.json.next", "run.lock",
    "checkpoints", "summary.json", "metrics.csv",
)  # fmt: skip


def test_a_new_run_in_a_folder_of_links_writes_through_none(made: Path, tmp_path: Path) -> None:
    for name in NEW:
        folder, victim = tmp_path / name / "run", tmp_path / name / "victim"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(victim)
        answers(specc("run", made / "spec.resolved.yaml", "--device", "cpu", "--run-dir", folder, cwd=tmp_path))
        assert not victim.exists(), name


@pytest.mark.parametrize("finished", [True, False])
def test_no_file_is_written_under_another_name_that_it_has(finished: bool, run: Path, tmp_path: Path) -> None:
    """A hard link is a regular file: it is replaced, and not written to."""
    if not finished:
        unfinished(run)
    kept = tmp_path / "kept"
    kept.mkdir()
    before = {}
    for name in files_of(run):
        if (run / name).is_file():
            os.link(run / name, kept / str(name).replace("/", "_"))
            before[kept / str(name).replace("/", "_")] = (run / name).read_bytes()
    for words in COMMANDS:
        answers(specc(*words, cwd=tmp_path))
    assert {path: path.read_bytes() for path in before} == before


def test_what_waits_under_the_name_of_a_temporary_file_is_not_written_to(run: Path, tmp_path: Path) -> None:
    unfinished(run)
    victim = tmp_path / "victim"
    victim.write_text(SECRET)
    names = [*files_of(run), *(Path(name) for name in ("summary.json", "backbone-safetensors.safetensors"))]
    for name in names:
        for ending in (f".{os.getpid()}.tmp", ".next"):
            (run / name).with_name(f".{name.name}{ending}").symlink_to(victim)
    for words in COMMANDS:
        answers(specc(*words, cwd=tmp_path))
    assert victim.read_text() == SECRET


# ------------------------------------------------------------------------------------------- checkpoints


def tensors(header: bytes, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + content


def entry(**parts: Any) -> bytes:
    return json.dumps(
        {"stem.conv.weight": {"dtype": "F32", "shape": [2, 1, 3, 3], "data_offsets": [0, 72]} | parts}
    ).encode()


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "a header of exabytes": lambda _: struct.pack("<Q", (1 << 63) - 1) + b"{}",
    "a header longer than the file": lambda _: struct.pack("<Q", 1 << 30) + b"{}",
    "a header nested without end": lambda _: tensors(b'{"a":' * 200_000),
    "tensors of exabytes": lambda _: tensors(entry(shape=[1 << 40, 1 << 20])),
    "negative sizes": lambda _: tensors(entry(shape=[-2, 1, 3, 3])),
    "offsets beyond the end": lambda _: tensors(entry(data_offsets=[0, 1 << 50])),
    "offsets backwards": lambda _: tensors(entry(data_offsets=[72, 0]), bytes(72)),
    "a pickle": lambda _: pickle.dumps(Payload()),
    "torch's own file": lambda _: torch_file(),
    "nothing": lambda _: b"",
    "other names": lambda raw: save({f"{name}$(touch $MARKER)": t for name, t in load(raw).items()}),
    "other kinds of numbers": lambda raw: save({name: t.half() for name, t in load(raw).items()}),
    "other shapes": lambda raw: save({name: t.flatten() for name, t in load(raw).items()}),
}


def torch_file() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"x": Payload()}, file)
    return file.getvalue()


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "averages.safetensors"])
def test_no_checkpoint_is_more_than_tensors(what: str, name: str, run: Path, tmp_path: Path) -> None:
    """With a manifest that agrees, as a stranger would write one."""
    unfinished(run)
    for path in run.rglob(name):
        path.write_bytes(HOSTILE[what](path.read_bytes()))
    sealed(run)
    for words in COMMANDS:
        done = answers(specc(*words, cwd=tmp_path))
        if name == "model.safetensors" or (words[0] == "resume" and name == "optimizer.safetensors"):
            assert done.returncode == 3, f"{words[0]} takes {what}"


def sealed(run: Path) -> None:
    """Write all manifests anew, as a stranger would who knows how."""
    for path in run.rglob("manifest.json"):
        names = [name for name in json.loads(path.read_text())["files"] if (path.parent / name).exists()]
        path.write_bytes(render({name: Entry.of((path.parent / name).read_bytes()) for name in names}))


# ------------------------------------------------------------------------------------------- texts

WORDS = {
    "plan.json": [("units", 0, "heads", 0, "loss"), ("units", 0, "heads", 0, "term"), ("units", 0, "name"),
                  ("networks", "block0", "graph", "nodes", 0, "op", "op"), ("format_version",), ("config", "name")],
    "env.json": [("specc",), ("plugins",), ("data_root",), ("command",)],
    "summary.json": [("status",), ("device",), ("test",), ("memory",), ("epochs",)],
    "state.json": [("position", "plan_fingerprint"), ("position", "epoch"), ("format_version",)],
}  # fmt: skip
EVIL = f"x{ESCAPE}\n  = help: touch $MARKER\n$(touch $MARKER)"


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, places in WORDS.items() for place in places])
def test_no_word_of_a_run_directory_speaks_for_specc(
    name: str, place: tuple[Any, ...], run: Path, tmp_path: Path
) -> None:
    """Nothing drives a terminal, and no line of a message is the stranger's."""
    if name != "summary.json":
        unfinished(run)
    for path in run.rglob(name):
        document = json.loads(path.read_text())
        inner = document
        for part in place[:-1]:
            inner = inner[part]
        inner[place[-1]] = {EVIL: EVIL} if place == ("plugins",) else EVIL
        path.write_text(json.dumps(document))
    sealed(run)
    for words in COMMANDS:
        done = answers(specc(*words, cwd=tmp_path))
        assert "\n  = help: touch" not in done.stderr
        assert "\n$(touch" not in done.stdout + done.stderr
    for path in run.rglob("metrics.csv"):
        assert "$(touch" not in path.read_text()


@pytest.mark.parametrize(
    "name", ["plan.json", "env.json", "summary.json", "state.json", "metrics.csv", "manifest.json"]
)
def test_a_file_of_any_size_is_not_read_to_its_end(name: str, run: Path, tmp_path: Path) -> None:
    if name != "summary.json":
        unfinished(run)
    for path in run.rglob(name):
        with path.open("r+b") as file:
            file.truncate(1 << 40)  # a tebibyte of nothing
    for words in COMMANDS:
        answers(specc(*words, cwd=tmp_path))


@pytest.mark.parametrize("missing", [["block9"], ["unit0.independent.classifier", "block0"]])
def test_the_plan_of_a_stranger_holds_together(missing: list[str], run: Path, tmp_path: Path) -> None:
    unfinished(run)
    plan = json.loads((run / "plan.json").read_text())
    plan["units"][0]["heads"][0]["networks"] = missing
    (run / "plan.json").write_text(json.dumps(plan))
    sealed(run)
    for words in COMMANDS:
        assert "no plan was written like this" in answers(specc(*words, cwd=tmp_path), (3,)).stderr


def test_the_plan_of_a_stranger_is_a_plan_of_the_language(run: Path, tmp_path: Path) -> None:
    """A loss with shell syntax once became the head of metrics.csv; see tests/test_hostile_plan.py for all names."""
    unfinished(run)
    plan = json.loads((run / "plan.json").read_text())
    Plan.from_json(json.dumps(plan))
    plan["units"][0]["heads"][0]["term"] = "x;touch $MARKER;"
    (run / "plan.json").write_text(json.dumps(plan))
    sealed(run)
    for words in COMMANDS:
        assert "is damaged" in answers(specc(*words, cwd=tmp_path), (3,)).stderr
