"""The checkpoints of a run: folders by the number of steps that were taken, each whole by its own manifest.

There is no pointer to the last one: that is the newest folder with a manifest that all its files agree with. So nothing
can say otherwise than the folders themselves, and a checkpoint is there from the moment at which its manifest is, which
is one rename. Folders are added and, later, removed; none is ever replaced.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from specc.system import files

from ..errors import RunError
from . import manifest
from .durable import writing
from .manifest import Damaged, Entry

FOLDER = "checkpoints"
FORMAT_VERSION = 1
MODEL, OPTIMIZER, AVERAGES = (f"{name}.safetensors" for name in ("model", "optimizer", "averages"))
STATE, METRICS = "state.json", "metrics.csv"
WEIGHT_AVERAGE = "weight_average.safetensors"  # where the plan asks for one
FILES = (MODEL, OPTIMIZER, AVERAGES, METRICS, STATE)
_NAME = re.compile(r"([0-9]{9,18})(?:\.([1-9][0-9]?))?")  # a second state after as many steps: its evaluation is done
_ASIDE = ".damaged"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run has measured so far, and where: a part of it that takes no step measures nothing."""

    device: str = ""
    peak_bytes: int = 0
    requested_bytes: int = 0
    step_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Best:
    """The best evaluation so far, and the checkpoint that was saved after it."""

    metric: str
    value: float
    epoch: int  # from 1, as in metrics.csv
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: the next step to take, and what the steps before it took."""

    epoch: int
    step: int  # within the epoch; as many as the epoch has where its evaluation is next
    plan_fingerprint: str
    seconds: float = 0.0  # of this epoch so far
    figures: Figures = Figures()
    steps: int = 0  # in all
    best: Best | None = None

    def __str__(self) -> str:
        if self.step:
            return f"epoch {self.epoch + 1}, step {self.step}"
        return f"the end of epoch {self.epoch}" if self.epoch else "the beginning"


@dataclass(frozen=True, slots=True)
class State:
    """What state.json says."""

    position: Position
    scaler: dict[str, float | int] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


_STATE = TypeAdapter(State)


@dataclass(frozen=True, slots=True)
class Found:
    """A whole checkpoint, and why newer ones were passed over."""

    path: Path
    state: State
    skipped: dict[str, str] = field(default_factory=dict)  # name -> what is wrong with it

    @property
    def position(self) -> Position:
        """Where the run stood."""
        return self.state.position

    def metrics(self) -> bytes:
        """What metrics.csv held."""
        try:
            return manifest.read_file(self.path, METRICS)
        except Damaged as error:
            raise RunError(f"the checkpoint {self.path} cannot be read: {error}") from None

    @property
    def warnings(self) -> list[str]:
        """What a person has to know."""
        return [
            f"checkpoint {name} is of no use: {why}; {self.path.name} is used" for name, why in self.skipped.items()
        ]


def names(run_dir: Path) -> list[str]:
    """The checkpoints by name, the newest first; finished ones, and what a crash left of others."""
    try:
        return _names(run_dir)
    except OSError as error:
        raise RunError(f"the checkpoints in {run_dir / FOLDER} cannot be read: {error.strerror}") from None


def _names(run_dir: Path) -> list[str]:
    try:
        found = files.names_in(run_dir / FOLDER)
    except FileNotFoundError:
        return []
    return sorted(filter(_NAME.fullmatch, found), key=_order, reverse=True)


def _order(name: str) -> tuple[int, int]:
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2] or 0)) if match else (-1, 0)


def exists(run_dir: Path) -> bool:
    """Whether a checkpoint was saved."""
    with suppress(OSError):
        return any(os.path.lexists(run_dir / FOLDER / name / manifest.NAME) for name in _names(run_dir))
    return False


def newest(run_dir: Path) -> Found:
    """The newest whole checkpoint; raises `RunError` where there is none."""
    skipped: dict[str, str] = {}
    for name in names(run_dir):
        path = run_dir / FOLDER / name
        try:
            return Found(path, read_state(path), skipped)
        except Damaged as error:
            skipped[name] = str(error)
    anew = "start it anew: `specc run` with the `spec.resolved.yaml` in there and another `--run-dir`"
    if not skipped:
        raise RunError(f"the run in {run_dir} has no checkpoint yet", (f"train it first: `specc resume {run_dir}`",))
    told = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
    raise RunError(f"no checkpoint in {run_dir / FOLDER} is whole: {told}", ("restore one from a backup", anew))


def best(run_dir: Path) -> Found:
    """The checkpoint of the best evaluation; raises `RunError` where the run keeps none, or where it is damaged."""
    last = newest(run_dir)
    mark = last.position.best
    if mark is None:
        help = ("a run keeps it with `train.checkpoint: {keep_best: {metric: accuracy}}`", "the last one is there")
        raise RunError(f"the run in {run_dir} keeps no best checkpoint", help)
    path = run_dir / FOLDER / mark.checkpoint
    try:
        return Found(path, read_state(path))
    except Damaged as error:
        raise RunError(f"the best checkpoint, {path}, is damaged: {error}", ("the last one is whole",)) from None


def named(run_dir: Path, name: str) -> Found:
    """The checkpoint that a person asks for: `last`, `best`, or after a number of steps."""
    if name in ("last", "best"):
        return newest(run_dir) if name == "last" else best(run_dir)
    found = next((known for known in names(run_dir) if name.isdecimal() and _order(known)[0] == int(name[:18])), None)
    path = run_dir / FOLDER / (found or name)
    try:
        if found:
            return Found(path, read_state(path))
    except Damaged as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}") from None
    known = ", ".join(["last", "best", *(str(_order(known)[0]) for known in names(run_dir))])
    raise RunError(f"the run in {run_dir} has no checkpoint `{name}`", (f"there are: {known}",))


def read_state(path: Path) -> State:
    """What the state of a whole checkpoint says; raises `Damaged` where any file of it is not as it was written."""
    _check_folder(path)
    manifest.check(path, FILES)
    try:
        state = _STATE.validate_json(manifest.read_file(path, STATE), strict=True)
    except ValidationError as error:
        raise Damaged(f"{STATE}: {error.errors()[0]['msg']}") from None
    if state.format_version != FORMAT_VERSION:
        raise Damaged(f"{STATE} has format version {state.format_version}, this specc reads {FORMAT_VERSION}")
    if state.position.best and not _NAME.fullmatch(state.position.best.checkpoint):
        raise Damaged(f"{STATE} names a best checkpoint that is none")
    return state


def _check_folder(path: Path) -> None:
    try:
        files.names_in(path)
    except OSError as error:
        raise Damaged(f"{error.strerror}") from None


def load_weights(path: Path) -> dict[str, Tensor]:
    """What a checkpoint's model predicts with, by canonical name; raises `RunError` where a file is damaged."""
    try:
        average = read_tensors(path, WEIGHT_AVERAGE) if WEIGHT_AVERAGE in manifest.read(path) else {}
        return read_tensors(path, MODEL) | average
    except Damaged as error:
        raise RunError(f"the checkpoint {path} cannot be read: {error}") from None


def read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """All tensors of one file of a checkpoint; raises `Damaged`."""
    content = manifest.read_file(path, name)
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise Damaged(f"{name}: {error}") from None


# ---------------------------------------------------------------------------------------------- writing


def state_json(state: State) -> bytes:
    """The file."""
    return _STATE.dump_json(state, indent=2)


def name_for(run_dir: Path, steps: int) -> str:
    """What the next checkpoint is called; one more after as many steps is of a later state."""
    with writing(run_dir / FOLDER):
        taken = [name for name in _names(run_dir) if _order(name)[0] == steps]
    return f"{steps:09d}" + (f".{_order(taken[0])[1] + 1}" if taken else "")


def write(run_dir: Path, name: str, contents: Iterable[tuple[str, bytes]]) -> Path:
    """Put a new checkpoint beside the others; it counts from the moment at which its manifest is there."""
    folder = run_dir / FOLDER
    path = folder / name
    with writing(path):
        folder.mkdir(exist_ok=True)  # and not the run directory: one that is gone was moved or removed
        remove_unfinished(run_dir)
        path.mkdir()
        try:
            _fill(path, contents)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # a full disk is in need of room
            raise
        files.sync(folder)
    return path


def _fill(path: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    entries = {}
    for name, content in contents:
        files.create(path / name, content)
        files.sync(path / name)
        entries[name] = Entry.of(content)
    files.sync(path)
    manifest.write(path, entries)


def remove_unfinished(run_dir: Path) -> None:
    """Remove what a crash left of a checkpoint."""
    for name in _names(run_dir):
        if not os.path.lexists(run_dir / FOLDER / name / manifest.NAME):
            shutil.rmtree(run_dir / FOLDER / name)


def set_aside(found: Found) -> None:
    """Move the damaged ones out of the way, for who wants to look at them; of two of one name the later stays."""
    for name in found.skipped:
        path = found.path.with_name(name)
        aside = path.with_name(name + _ASIDE)
        if not os.path.lexists(path / manifest.NAME):
            continue  # half a checkpoint, which the next one clears away
        with writing(path):
            if aside.exists():
                shutil.rmtree(aside)
            os.replace(path, aside)


def prune(run_dir: Path, keep_last: int, kept: str | None = None) -> None:
    """Remove all but the last ones, and the one that is kept for another reason."""
    for name in names(run_dir)[keep_last:]:
        path = run_dir / FOLDER / name
        if name != kept:
            with writing(path):
                (path / manifest.NAME).unlink(missing_ok=True)  # the first: what is half removed was never finished
                shutil.rmtree(path)
