"""From a plan, or a name, to a data set: the facts in `specc.tasks.datasets`, the reader of that name in `sources/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from runtime.data.config import AUGMENTATIONS, DataConfig
from runtime.data.errors import DataError, described
from runtime.data.held_out import hold_out
from runtime.data.mixing import mixed
from runtime.data.splits import Splits
from runtime.named import named
from specc.plan import Plan
from specc.system.environment import expand_path
from specc.tasks.datasets import INFO, ResolvedData
from specc.tasks.folders import listed


def open_dataset(config: DataConfig) -> Splits:
    """Read a data set, or raise `DataError` saying where it was looked for and how to get it."""
    _known("data set", config.dataset, INFO)
    if isinstance(config.augment, str):
        _known("augmentation", config.augment, AUGMENTATIONS)
    # By name and late: a data set costs the imports of its own libraries only when it is used.
    load: Callable[[DataConfig, ResolvedData], Splits]
    load = named(INFO[config.dataset].reader, f"the data set `{config.dataset}`")
    info = _resolved(config)
    try:
        found = load(config, info)
        return hold_out(replace(found, train=mixed(found.train, config)), config)
    except OSError as error:  # of looking for the files: a name too long, a folder that may not be entered
        what = f"the data set `{config.dataset}` in {config.folder} cannot be read: {described(error)}"
        raise DataError(what, help=["data.root names a folder that can be entered and read"]) from error


def _resolved(config: DataConfig) -> ResolvedData:
    if config.known is not None:
        return config.known
    try:
        return INFO[config.dataset].resolved(
            image_size=config.image_size, channels=config.channels, classes=config.classes, samples=config.samples,
            mean=config.mean, std=config.std, resplit=config.resplit, target=config.learns.kind,
            input=config.learns.input.dtype, length=config.length, vocabulary=config.vocabulary,
        )  # fmt: skip
    except ValueError as error:
        raise DataError(str(error)) from error


def _known(kind: str, name: str, names: Iterable[str]) -> None:
    if name not in (known := list(names)):
        nearest = get_close_matches(name, known, n=1, cutoff=0.0)
        raise DataError(f"unknown {kind} `{name}`", help=[f"did you mean `{nearest[0]}`? known: {', '.join(known)}"])


def open_data(plan: Plan, root: Path | None = None) -> Splits:
    """The plan's data set, in `root` or where the spec says; one that is missing is a `DataError` saying where."""
    data = plan.config.data
    fields: dict[str, Any] = data.model_dump() | {
        "seed": plan.config.train.seed,
        "task": plan.config.task,
        "skipped": plan.data.skipped,
        "augment": data.augment,
    }
    fields |= {"root": str(root or data_root(plan))}
    fields |= {key: tuple(fields[key]) for key in ("mean", "std") if fields[key]}
    if INFO[plan.data.name].kept == "own":
        fields["known"] = plan.data
    found = open_dataset(DataConfig(**fields))
    if found.validation is None and plan.config.train.early_stopping:
        samples = plan.config.samples
        what = f"the data set in {fields['root']} has no {samples} for validation, which `train.early_stopping` needs"
        help = [f"`data.validation: 0.1` keeps a tenth of the training {samples} apart", "the test set is for the end"]
        raise DataError(what, help=help, code="SPC650")
    if plan.data.class_names not in ((), found.info.class_names):
        has, wants = (listed(names) for names in (found.info.class_names, plan.data.class_names))
        what = f"the data set in {fields['root']} has the classes {has}, and the plan is of {wants}"
        raise DataError(what, help=["put the classes back, or start a new run"])
    return found


def data_root(plan: Plan) -> Path:
    """The absolute path of `data.root`, as seen from the current folder."""
    return DataConfig(plan.config.data.dataset, expand_path(plan.config.data.root)).folder


def root_of_resumed(plan: Plan, recorded: object) -> tuple[Path, str | None]:
    """Where the data of a run lie that was perhaps begun in another folder; a note where they are not there any more.

    Only a folder that has gone away is looked for anew, where the spec says, as seen from here.
    """
    here = data_root(plan)
    if not isinstance(recorded, str) or Path(recorded) == here:
        return here, None
    began = Path(recorded)
    if began.is_dir() or not here.is_dir():
        return began, None
    return here, f"the data are no longer in {began}: read from {here}"
