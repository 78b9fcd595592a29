"""MLflow: a server that `MLFLOW_TRACKING_URI` names, or files in the run directory."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from .protocol import LoggedRun

ENDED = {"completed": "FINISHED", "interrupted": "KILLED"}
TOGETHER, LONGEST = 100, 6_000  # what MLflow takes: parameters at once, characters of one


class Adapter:
    """A run in the experiment of the spec's name, its parameters the keys of the spec."""

    def begin(self, run: LoggedRun) -> str:
        """The run that there was, or a new one."""
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # files need neither a server nor a database
            uri = run.folder.as_uri()
        self.client = MlflowClient(tracking_uri=uri)
        self.id = run.id or self._created(run)
        self.client.update_run(self.id, status="RUNNING")
        return self.id

    def _created(self, run: LoggedRun) -> str:
        known = self.client.get_experiment_by_name(run.name)
        experiment = known.experiment_id if known else self.client.create_experiment(run.name)
        tags = {"plan_fingerprint": run.fingerprint, "device": run.device, "run_directory": str(run.directory)}
        id: str = self.client.create_run(experiment, run_name=run.directory.name, tags=tags).info.run_id
        params = [Param(re.sub(r"[^\w./ -]", "_", key), value[:LONGEST]) for key, value in flat(run.config)]
        for i in range(0, len(params), TOGETHER):
            self.client.log_batch(id, params=params[i : i + TOGETHER])
        return id

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """All at once."""
        self._log(figures, number)

    def _log(self, figures: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1_000)
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        for i in range(0, len(metrics), TOGETHER):
            self.client.log_batch(self.id, metrics=metrics[i : i + TOGETHER])

    def end(self, status: str, figures: Mapping[str, float]) -> None:
        """What the run is worth stands beside its epochs."""
        self._log({f"end/{name}": value for name, value in figures.items()}, 0)
        self.client.set_terminated(self.id, status=ENDED.get(status, "FAILED"))


def flat(config: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """Every value by its path.

    >>> dict(flat({"train": {"epochs": 2, "log": ["csv"], "clip": None}, "name": "x"}))
    {'train.epochs': '2', 'train.log': '["csv"]', 'train.clip': 'null', 'name': 'x'}
    """
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value if isinstance(value, str) else json.dumps(value, allow_nan=False)
