"""The run directory: everything a run leaves behind, written so that a crash cannot leave half a file."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import specc
from specc.plan import Plan

from .errors import RunError


@dataclass(frozen=True)
class RunDir:
    """One run's folder."""

    path: Path

    @classmethod
    def create(cls, plan: Plan, spec_text: str, resolved: str, parent: Path | None = None) -> RunDir:
        """A new folder ``runs/<name>/<UTC>-<hash>/`` (or `parent` itself) with the spec and the plan in it."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = parent or _fresh(Path("runs") / plan.name / f"{now}-{plan.fingerprint[:8]}")
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path)
        run.write("spec.yaml", spec_text)
        run.write("spec.resolved.yaml", resolved)
        run.write("plan.json", plan.to_json(indent=1))
        run.write_json("env.json", environment())
        return run

    def write(self, name: str, text: str) -> None:
        """Write a file as a whole."""
        temporary = self.path / f".{name}.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON document."""
        self.write(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one epoch to metrics.csv; columns are fixed by the first row, what a later row lacks stays empty."""
        path = self.path / "metrics.csv"
        with path.open("a+", newline="", encoding="utf-8") as file:
            file.seek(0)
            columns = next(csv.reader(file), [])
            writer = csv.DictWriter(file, columns or list(row))
            if not columns:
                writer.writeheader()
            writer.writerow(row)

    def plan(self) -> Plan:
        """The plan that the run was started with; raises `RunError` where there is none."""
        try:
            return Plan.from_json((self.path / "plan.json").read_text(encoding="utf-8"))
        except OSError as error:
            message = f"{self.path} is not a run directory: {error.strerror} ({error.filename})"
            raise RunError(message, ("a run directory is what `specc run` prints at its end",)) from None
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"the plan in {self.path} is damaged: {error}") from None

    @property
    def checkpoint(self) -> Path:
        """The folder of the last checkpoint."""
        return self.path / "checkpoints" / "last"


def _fresh(path: Path) -> Path:
    """`path`, or with a number where it exists: two runs may start in one second."""
    number = 1
    candidate = path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def spec_hash(text: str) -> str:
    """SHA-256 of the resolved spec: what it extends and the overrides are in it."""
    return hashlib.sha256(text.encode()).hexdigest()


def environment() -> dict[str, Any]:
    """What the figures of a run depend on besides the plan."""
    from importlib.metadata import version

    import numpy
    import torch

    return {
        "specc": specc.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "numpy": numpy.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "threads": torch.get_num_threads(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
