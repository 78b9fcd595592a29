"""The run directory: everything a run leaves behind, written so that a crash cannot leave half a file."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch

from specc.plan import Plan
from specc.plan.model import FORMAT_VERSION
from specc.plan.sound import read
from specc.system import files, plugins

from ..data.opening import data_root
from ..errors import RunError, WriteError
from .durable import write_file, writing
from .environment import environment


@dataclass(frozen=True)
class RunDir:
    """One run's folder."""

    path: Path

    @classmethod
    def create(
        cls, plan: Plan, spec_text: str, resolved: str, parent: Path | None = None, root: Path | None = None,
        device: torch.device | None = None,
    ) -> RunDir:  # fmt: skip
        """A new folder ``runs/<name>/<UTC>-<hash>/`` (or `parent` itself) with the spec and the plan in it.

        `root` is where the data are, `device` what will train.
        """
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = parent or Path("runs") / plan.name / f"{now}-{plan.fingerprint[:8]}"
        try:
            with writing(path):
                path = parent or _fresh(path)
                path.mkdir(parents=True, exist_ok=True)
            run = cls(path)
            run.write_json("env.json", environment(device) | {"data_root": str(root or data_root(plan))})
            run.write("spec.yaml", spec_text)
            run.write("spec.resolved.yaml", resolved)
            run.write("plan.json", plan.to_json(indent=1))  # the last: with it, it is a run that can be resumed
        except WriteError as error:
            raise RunError(f"no run directory: {error}", ("choose another place with `--run-dir DIR`",)) from None
        return run

    def write(self, name: str, text: str) -> None:
        """Write a file as a whole."""
        write_file(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON document."""
        self.write(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one epoch to metrics.csv; its first line says which columns there are."""
        with (
            writing(self.metrics),
            files.open_own(self.metrics) as raw,
            TextIOWrapper(raw, "utf-8", newline="") as file,
        ):
            file.seek(0)
            columns = next(csv.reader(file), [])
            writer = csv.DictWriter(file, columns or list(row), extrasaction="ignore")
            if not columns:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())

    def written_metrics(self) -> bytes:
        """What metrics.csv holds."""
        with writing(self.metrics):
            return files.read(self.metrics, follow=False) if os.path.lexists(self.metrics) else b""

    def restore_metrics(self, recorded: bytes) -> bool:
        """Leave in metrics.csv what a checkpoint recorded of it; whether that is what it began with.

        A run that is resumed writes the rows after its checkpoint again.
        """
        written = self.written_metrics()
        if recorded or written:
            write_file(self.metrics, recorded)  # anew, so that nothing else is written to under another name
        return written.startswith(recorded)

    def plan(self) -> Plan:
        """The plan that the run was started with; raises `RunError` where there is none."""
        text = self.read("plan.json", ("a run directory is what `specc run` prints at its end",))
        version = self.known("plan.json", "format_version")
        if type(version) is int and version != FORMAT_VERSION:
            raise self._of_another_specc(version)
        try:
            return read(text)
        except (ValueError, KeyError, TypeError) as error:
            if absent := self._absent():
                raise RunError(f"the run in {self.path} needs {absent}, not installed here") from None
            raise RunError(f"the plan in {self.path} is damaged: {error}") from None

    def _of_another_specc(self, version: int) -> RunError:
        own = self.known("env.json", "specc")
        writer = f"specc {own}" if isinstance(own, str) else "another specc"
        message = f"the run in {self.path} was started by {writer}: its plan has format {version}, not {FORMAT_VERSION}"
        anew = f"start it anew: specc run {shlex.quote(str(self.path / 'spec.resolved.yaml'))}"
        return RunError(message, (anew, f"or go on with {writer}, which this is not"))

    def _absent(self) -> str:
        """The packages that the run took something from and that are not installed."""
        used = self.known("env.json", "plugins")
        packages = used.items() if isinstance(used, dict) else ()
        return " and ".join(f"`{name}` {version}" for name, version in packages if plugins.missing(name))

    def read(self, name: str, help: tuple[str, ...] = ()) -> str:
        """A file's text; raises `RunError` where there is none."""
        try:
            return files.read_text(self.path / name, follow=False)
        except OSError as error:
            message = f"{self.path} is not a run directory: {error.strerror} ({error.filename})"
            raise RunError(message, help) from None
        except ValueError as error:
            raise RunError(f"{self.path / name} is damaged: {error}") from None

    def known(self, name: str, key: str) -> Any:
        """What a JSON document says of a key; None where there is no such document."""
        try:
            return files.mapping(files.read(self.path / name, follow=False))[key]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def metrics(self) -> Path:
        """The table of the epochs."""
        return self.path / "metrics.csv"


def _fresh(path: Path) -> Path:
    """`path`, or with a number where it exists: two runs may start in one second."""
    others = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(candidate for candidate in chain([path], others) if not candidate.exists())


def spec_hash(text: str) -> str:
    """SHA-256 of the resolved spec: what it extends and the overrides are in it."""
    return hashlib.sha256(text.encode()).hexdigest()
