"""Runs from Python, on data that may be handed over with them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import specc
from specc.memory.prediction import predicted_for
from specc.pipeline import compile_spec
from specc.spec.load import Spec
from specc.system.devices import kind_of_device
from specc.tasks.own.facts import Facts

from ..data.own.asking import facts_of
from ..data.own.handed import MAKER, handing
from ..data.own.sets import sets_of
from . import launch
from .judging import judge
from .trained import open_trained


def ask(data: Any) -> Facts:
    """What data sets say of themselves, and their first samples of all others, for `specc.compile(spec, data=...)`.

    `data` is a map-style data set of torch or a `DataLoader`; or those for `train`, `validation` and `test`, by these
    names or as `(train, test)` or `(train, validation, test)`. Raises `RunError` where it cannot be trained on.
    """
    return facts_of(sets_of(data, MAKER))


def train(
    source: str | os.PathLike[str] | Mapping[str, Any] | Spec,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    report: bool = False,
) -> Path:
    """Compile a spec and train it as `specc run` does; gives back the run directory.

    With `data`, which is what `ask` takes, it is trained on those, whichever the spec names. Raises `SpecError`, or
    `RunError` where the run ends early.
    """
    spec = source if isinstance(source, Spec) else specc.load(source, overrides)
    with handing(data) as sets:
        spec = spec.on(kind_of_device(device, None) or "cpu")
        spec = spec if sets is None else spec.of_data(facts_of(sets))
        plan, _ = compile_spec(spec)
        return launch.run(plan, spec, device, None, None if folder is None else Path(folder), report=report)


def resume(
    folder: str | os.PathLike[str], data: Any = None, *, device: str | None = None, overrides: Sequence[str] = ()
) -> None:
    """Continue a run from its last checkpoint, as `specc resume` does; `data` are those that it was begun with."""
    with handing(data):
        launch.resume(Path(folder), device, None, predicted_for, overrides, report=False)


def evaluate(
    folder: str | os.PathLike[str], data: Any = None, *, on: str | None = None, checkpoint: str = "last",
    device: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """How good a run's network is, as `specc evaluate` says it; `data` as those that it was trained on, or others."""
    with handing(data):
        return judge(open_trained(Path(folder), checkpoint, device, None), on, None)
