"""The checkpoints of a run: folders by the number of steps that were taken, each whole by its own manifest.

There is no pointer to the last one: that is the newest folder with a manifest that all its files agree with. So nothing
can say otherwise than the folders themselves, and a checkpoint is there from the moment at which its manifest is, which
is one rename. Folders are added and, later, removed; none is ever replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from specc.runs import manifest
from specc.runs.checkpoints import NAME, listed, order
from specc.runs.manifest import Damaged
from specc.runs.names import CHECKPOINTS as FOLDER
from specc.runs.names import METRICS
from specc.system import files

from ..errors import RunError

FORMAT_VERSION = 1
MODEL, OPTIMIZER, AVERAGES = (f"{name}.safetensors" for name in ("model", "optimizer", "averages"))
STATE = "state.json"
WEIGHT_AVERAGE = "weight_average.safetensors"  # where the plan asks for one
FILES = (MODEL, OPTIMIZER, AVERAGES, METRICS, STATE)


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
    wall_seconds: float | None = None  # of all that led here; of a checkpoint of before it was counted nobody knows

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
        return listed(run_dir)
    except OSError as error:
        raise RunError(f"the checkpoints in {run_dir / FOLDER} cannot be read: {error.strerror}") from None


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
    found = next((known for known in names(run_dir) if name.isdecimal() and order(known)[0] == int(name[:18])), None)
    path = run_dir / FOLDER / (found or name)
    try:
        if found:
            return Found(path, read_state(path))
    except Damaged as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}") from None
    known = ", ".join(["last", "best", *(str(order(known)[0]) for known in names(run_dir))])
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
    if state.position.best and not NAME.fullmatch(state.position.best.checkpoint):
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


def state_of(text: str) -> State:
    """What `state_json` has written."""
    return _STATE.validate_json(text)


def state_json(state: State) -> bytes:
    """The file."""
    return _STATE.dump_json(state, indent=2)
