"""`train.log`: where the figures of every epoch are written besides, which is where people already look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from ...language.plugged import OneOf
from ...language.schema import problem
from ...system.plugins import Registry


@dataclass(frozen=True, slots=True)
class Log:
    """What is known of a log without importing it."""

    name: str
    writes: str  # for people
    torch: str = ""  # `module:class` of a `runtime.extending.Logger`, made without arguments; none of `csv`
    needs: str = ""  # the module without which it cannot write
    install: str = ""  # what to install for that


def _extra(name: str, writes: str, needs: str) -> Log:
    return Log(name, writes, f"runtime.run.logs.{name}:Adapter", needs, f"specc[{name}]")


_OWN = (
    Log("csv", "a row an epoch in `metrics.csv`, which there always is, whether it is named or not"),
    _extra("tensorboard", "event files in `logs/tensorboard` of the run directory", "tensorboard"),
    _extra(
        "wandb",
        "a run of Weights & Biases, its files in `logs/wandb` of the run directory; online or not as `WANDB_MODE` "
        "says, in the project `WANDB_PROJECT` or else that of the spec's name",
        "wandb",
    ),
    _extra(
        "mlflow",
        "a run of MLflow, at the server of `MLFLOW_TRACKING_URI`, or else in `logs/mlflow` of the run directory",
        "mlflow",
    ),
)
WRITTEN = "; ".join(f"`{log.name}`: {log.writes}" for log in _OWN)
LOGS: Registry[Log] = Registry("log", Log, {log.name: log for log in _OWN})


def _each_once(names: Sequence[str]) -> Sequence[str]:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise problem(
                "SPC617", f"the log `{name}` is there twice", label="names it twice", help="delete one of them"
            )
    return names


LogName = Annotated[str, OneOf(LOGS, about="writes")]
Logs = Annotated[list[LogName], AfterValidator(_each_once)]
