"""What a run looks at before it has a folder: whether its data are there, and where."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

from specc.diagnostics import Diagnostic
from specc.diagnostics.notices import doing
from specc.plan import Plan
from specc.spec.dump import dump
from specc.spec.load import Spec
from specc.spec.own_data import own_code
from specc.spec.roots import ROOT, data_root, elsewhere
from specc.tasks.datasets import INFO

from ..data import DataConfig, DataError
from ..data.inspection import Seen, hash_of_names, inspect
from ..data.opening import open_data
from ..errors import FoundInSpec
from .data_report import report


@dataclass(frozen=True, slots=True)
class Beginning:
    """A plan that knows what only its data do, the spec in full, and the folder of the data, if they are in one.

    With warnings of the spec, and the images that are left out with why.
    """

    plan: Plan
    resolved: str
    root: Path | None
    warnings: tuple[Diagnostic, ...] = ()
    skipped: tuple[Seen, ...] = ()

    @property
    def listing(self) -> str:
        """The images that are left out, as a table."""
        out = io.StringIO()
        csv.writer(out).writerows([("image", "reason"), *((each.name, each.error) for each in self.skipped)])
        return out.getvalue()


def begin(plan: Plan, spec: Spec) -> Beginning:
    """Open the data and look at all images of one's own; `DataError` where no run could be had with them."""
    root = DataConfig(plan.config.data.dataset, data_root(spec)).folder
    try:
        with doing("opening the data"):
            splits = open_data(plan, root)
        seen = inspect(splits) if _of_ones_own(plan) else []
    except DataError as error:
        if error.code:
            own = INFO[plan.data.name].kept == "own"
            at, label = (own_code(spec), "cannot be had") if own else (ROOT, "in this folder")
            wrong = spec.error(error.code, str(error), *at, label=label, help=error.help)
            raise FoundInSpec([wrong], spec.sources) from error
        raise DataError(str(error), (*elsewhere(spec), *error.help)) from error
    found = tuple(report(spec, seen, splits.info))
    if any(each.is_error for each in found):
        raise FoundInSpec(found, spec.sources)
    skipped = tuple(each for each in seen if each.error)
    names = tuple(each.name for each in skipped)
    files = splits.info.files or hash_of_names(splits, set(names))
    facts = plan.data if INFO[plan.data.name].kept != "own" else splits.info
    facts = replace(facts, class_names=splits.info.class_names, skipped=names, files=files)
    plan, there = replace(plan, data=facts), root if root.is_dir() else None  # some data sets come with a package
    return Beginning(plan, _resolved(plan, there), there, found, skipped)


def _of_ones_own(plan: Plan) -> bool:
    """Whether the data are a folder of the user's own making; those of others are as they were published."""
    info = INFO[plan.data.name]
    return info.kept == "folder" and info.classes is None


def _resolved(plan: Plan, root: Path | None) -> str:
    """The spec with the split that the budget decided, where it was left to that, and with the folder of the data.

    It lies in another folder than the spec.
    """
    config = plan.config
    if root is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(root)})})
    return dump(config)
