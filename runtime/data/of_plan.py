"""The data set of a plan: where it lies, and what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specc.plan import Plan
from specc.system.environment import expand_path

from . import DataConfig, Splits, open_dataset


def open_data(plan: Plan, root: Path | None = None) -> Splits:
    """The plan's data set, in `root` or where the spec says; one that is missing is a `DataError` saying where."""
    data = plan.config.data
    fields: dict[str, Any] = data.model_dump() | {"seed": plan.config.train.seed, "task": plan.config.task}
    fields |= {"root": str(root or data_root(plan))}
    fields |= {key: tuple(fields[key]) for key in ("mean", "std") if fields[key]}
    return open_dataset(DataConfig(**fields))


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
