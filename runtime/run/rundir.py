"""The run directory: everything a run leaves behind, written so that a crash cannot leave half a file."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch

from specc.plan import Plan
from specc.plan.model import FORMAT_VERSION
from specc.plan.sound import read
from specc.runs import begun, manifest
from specc.runs.manifest import Damaged
from specc.runs.names import ENVIRONMENT, METRICS, MOST, PLAN, RESOLVED, SPEC, SUMMARY
from specc.system import files, plugins

from ..data.opening import data_root
from ..errors import RunError, WriteError
from . import record
from .durable import write_file, writing
from .environment import environment

_VERSION = re.compile(r"[\w.+!-]{0,80}")  # what packages and their versions are called


@dataclass(frozen=True)
class RunDir:
    """One run's folder."""

    path: Path

    @classmethod
    def create(
        cls, plan: Plan, spec_text: str, resolved: str, parent: Path | None = None, root: Path | None = None,
        device: torch.device | None = None,
    ) -> RunDir:  # fmt: skip
        """A new folder with the spec and the plan in it; `root` is where the data are, `device` what will train."""
        run = cls.make(plan, parent)
        run.begin(plan, spec_text, resolved, root, device)
        return run

    @classmethod
    def make(cls, plan: Plan, parent: Path | None = None) -> RunDir:
        """A folder ``runs/<name>/<UTC>-<hash>/``, which nobody else has, or `parent` itself."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = parent or Path("runs") / plan.name / f"{now}-{plan.fingerprint[:8]}"
        with _no_run_directory(), writing(path):
            if parent is None:
                path = _fresh(path)
            path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    def begin(
        self, plan: Plan, spec_text: str, resolved: str, root: Path | None = None, device: torch.device | None = None,
        spread: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Write down what is trained; from then on it is a run that can be resumed."""
        env = environment(device) | {"data_root": str(root or data_root(plan)), "plans": [plan.fingerprint]}
        env["devices"] = spread
        texts = {SPEC: spec_text, RESOLVED: resolved, PLAN: plan.to_json(indent=1), ENVIRONMENT: as_json(env)}
        with _no_run_directory():
            record.write(self.path, {name: text.encode() for name, text in texts.items()})

    def write(self, name: str, text: str) -> None:
        """Write a file as a whole."""
        write_file(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON document."""
        self.write(name, as_json(value))

    def add_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one epoch to metrics.csv; its first line says which columns there are."""
        with (
            writing(self.metrics),
            open(files.own_descriptor(self.metrics), "a+", newline="", encoding="utf-8") as file,
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
            return files.read_whole(self.metrics, MOST, follow=False) if os.path.lexists(self.metrics) else b""

    def restore_metrics(self, recorded: bytes) -> bool:
        """Leave in metrics.csv what a checkpoint recorded of it; whether that is what it began with.

        A run that is resumed writes the rows after its checkpoint again.
        """
        written = self.written_metrics()
        if recorded or written:
            write_file(self.metrics, recorded)  # anew, so that nothing else is written to under another name
        return written.startswith(recorded)

    def plan(self) -> Plan:
        """The plan that is trained; raises `RunError` where there is none, or not the one that was written."""
        if not self.has_record:  # with one, it may still have to be put into its place
            self.read(PLAN, ("a run directory is what `specc run` prints at its end",))
        version = self.known(PLAN, "format_version")
        try:
            text = begun.read(self.path, PLAN)
        except Damaged as error:
            if type(version) is int and version != FORMAT_VERSION and not self.has_record:
                raise self._of_another_specc(version) from None
            raise self._damaged("plan", error) from None
        if type(version) is int and version != FORMAT_VERSION:
            raise self._of_another_specc(version)
        try:
            return read(text.decode())
        except (ValueError, KeyError, TypeError) as error:
            if absent := self._absent():
                raise RunError(f"the run in {self.path} needs {absent}, not installed here") from None
            raise self._damaged("plan", error) from None

    @property
    def has_record(self) -> bool:
        """Whether the run was begun: then its files have checksums."""
        return os.path.lexists(self.path / manifest.NAME)

    def damages(self) -> list[str]:
        """What of the things that a run can do without is not as it was written."""
        faults = [begun.fault(self.path, name) for name in (SPEC, ENVIRONMENT)]
        found = [f"{why}; what it says is not used" for why in faults if why]
        with suppress(OSError):
            try:
                self.summary()
            except Damaged as error:
                found.append(f"{SUMMARY} is damaged: {error}; it is written anew")
        return found

    def resolved(self) -> str:
        """The spec with every default written out."""
        try:
            return begun.read(self.path, RESOLVED).decode()
        except (Damaged, ValueError) as error:
            raise self._damaged("resolved spec", error) from None

    def environment(self) -> dict[str, Any]:
        """What env.json says; nothing where it is not as it was written."""
        with suppress(Damaged, ValueError):
            return files.mapping(begun.read(self.path, ENVIRONMENT))
        return {}

    def summary(self) -> dict[str, Any]:
        """How the run ended; raises `Damaged` where that is not what was written, `OSError` where it is not there."""
        try:
            return manifest.unsealed(files.mapping(files.read_whole(self.path / SUMMARY, MOST, follow=False)))
        except ValueError as error:
            raise Damaged(str(error)) from None

    def _damaged(self, what: str, why: Exception) -> RunError:
        help = ("restore it from a backup: no number of this run can be trusted without it", "or start the run anew")
        return RunError(f"the {what} in {self.path} is damaged: {why}", help)

    def _of_another_specc(self, version: int) -> RunError:
        own = self.known("env.json", "specc")
        writer = f"specc {own}" if isinstance(own, str) and _VERSION.fullmatch(own) else "another specc"
        message = f"the run in {self.path} was started by {writer}: its plan has format {version}, not {FORMAT_VERSION}"
        anew = f"start it anew: specc run {shlex.quote(str(self.path / 'spec.resolved.yaml'))}"
        return RunError(message, (anew, f"or go on with {writer}, which this is not"))

    def _absent(self) -> str:
        """The packages that the run took something from and that are not installed."""
        used = self.known("env.json", "plugins")
        packages = used.items() if isinstance(used, dict) else ()
        said = ((name, version) for name, version in packages if all(map(_VERSION.fullmatch, (name, str(version)))))
        return " and ".join(f"`{name}` {version}" for name, version in said if plugins.missing(name))

    def read(self, name: str, help: tuple[str, ...] = ()) -> str:
        """A file's text; raises `RunError` where there is none."""
        try:
            return files.read_whole(self.path / name, MOST, follow=False).decode()
        except OSError as error:
            message = f"{self.path} is not a run directory: {error.strerror} ({error.filename})"
            raise RunError(message, help) from None
        except ValueError as error:
            raise RunError(f"{self.path / name} is damaged: {error}") from None

    def known(self, name: str, key: str) -> Any:
        """What a JSON document says of a key; None where there is no such document."""
        try:
            return files.mapping(files.read_whole(self.path / name, MOST, follow=False))[key]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def metrics(self) -> Path:
        """The table of the epochs."""
        return self.path / METRICS


def _fresh(path: Path) -> Path:
    """`path`, made anew, or with a number where it exists: two runs may start in one second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for candidate in chain([path], (path.with_name(f"{path.name}-{number}") for number in count(2))):
        with suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError  # there is always one more number


@contextmanager
def _no_run_directory() -> Iterator[None]:
    try:
        yield
    except WriteError as error:
        raise RunError(f"no run directory: {error}", ("choose another place with `--run-dir DIR`",)) from None


def as_json(value: Any) -> str:
    """A JSON document as a run directory has it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def spec_hash(text: str) -> str:
    """SHA-256 of the resolved spec: what it extends and the overrides are in it."""
    return hashlib.sha256(text.encode()).hexdigest()
