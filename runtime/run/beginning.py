"""What a run looks at before it has a folder: whether its data are there, and where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from specc.plan import Plan
from specc.spec.dump import dump
from specc.spec.load import Spec
from specc.spec.roots import data_root, elsewhere

from ..data import DataConfig, DataError
from ..data.opening import open_data


@dataclass(frozen=True, slots=True)
class Beginning:
    """A plan that knows what only its data do, the spec in full, and the folder of the data, if they are in one."""

    plan: Plan
    resolved: str
    root: Path | None


def begin(plan: Plan, spec: Spec) -> Beginning:
    """Open the data as a check; `DataError` where that cannot be done."""
    root = DataConfig(plan.config.data.dataset, data_root(spec)).folder
    try:
        info = open_data(plan, root).info
    except DataError as error:
        raise DataError(str(error), (*elsewhere(spec), *error.help)) from error
    plan = replace(plan, data=replace(plan.data, class_names=info.class_names))
    found = root if root.is_dir() else None  # some data sets come with a package
    return Beginning(plan, _resolved(plan, found), found)


def _resolved(plan: Plan, root: Path | None) -> str:
    """The spec with the split that the budget decided, where it was left to that, and with the folder of the data.

    It lies in another folder than the spec.
    """
    config = plan.config
    if root is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(root)})})
    return dump(config)
