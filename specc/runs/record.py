"""One run directory as it is: whatever is missing or damaged is a remark, and never an exception."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..plan import Plan
from ..plan.sound import read as read_plan
from ..system import files
from . import begun, manifest, metrics
from .manifest import Damaged
from .names import CHECKPOINTS, ENVIRONMENT, LOCK, METRICS, MOST, PLAN, RESOLVED, SPEC, SUMMARY
from .owner import Owner, is_held, owner_in
from .summary import Summary
from .summary import summary as checked

T = TypeVar("T")
Document = Mapping[str, Any]
NOTHING = Summary()
NO_SUMMARY: tuple[Document, Summary] = ({}, NOTHING)
NO_ROWS: tuple[metrics.Row, ...] = ()


class Status(StrEnum):
    """What has become of a run."""

    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    KILLED = "killed"  # without a word: its lock is left, and nobody holds it
    UNKNOWN = "unknown"  # nothing that is left says how it ended
    DAMAGED = "damaged"  # what it was started with is not there, or not as it was written


RESUMABLE = (Status.INTERRUPTED, Status.FAILED, Status.KILLED, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run directory says: `summary` and `said` how it ended, empty where they are not to be had."""

    path: Path
    status: Status
    summary: Document = field(default_factory=dict)
    said: Summary = NOTHING
    plan: Plan | None = None
    metrics: tuple[metrics.Row, ...] = ()
    env: Document = field(default_factory=dict)
    spec: str = ""  # as it was given
    resolved: str = ""  # with every default, override and parent written out
    owner: Owner | None = None  # who trains there now
    remarks: tuple[str, ...] = ()
    changed: float = 0.0  # when it last said something, in seconds since 1970

    config: Document = field(default_factory=dict)  # the plan's, by the word of its file alone

    @property
    def name(self) -> str:
        """The spec's name; that of the folder it lies in where nothing says it."""
        said = self.config.get("name")
        return said if isinstance(said, str) else self.said.name or self.path.absolute().parent.name

    @property
    def epochs_planned(self) -> int | None:
        """How many there are to be."""
        train = self.config.get("train")
        said = train.get("epochs") if isinstance(train, dict) else None
        return said if isinstance(said, int) else self.said.epochs_planned

    @property
    def epochs_done(self) -> int:
        """How many there are rows of."""
        return len(self.metrics) or self.said.epochs

    @property
    def fingerprints(self) -> list[str]:
        """Of the plans that it had, the present one last."""
        said = self.env.get("plans")
        return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []

    @property
    def resume_command(self) -> str | None:
        """What goes on with it, where that may be."""
        return f"specc resume {shlex.quote(str(self.path))}" if self.status in RESUMABLE else None


def read_run(path: Path, *, with_plan: bool = True) -> RunRecord:
    """What the directory says. A plan takes longer than all the rest together, where many are read."""
    reader = _Reader(path)
    resolved, spec, text = reader.text(RESOLVED), reader.text(SPEC), reader.text(PLAN)
    plan = reader.part(PLAN, partial(_plan, text), None) if text and with_plan else None
    config = {} if plan is None and with_plan else reader.part(PLAN, partial(_config, text), NO_SUMMARY[0])
    env = reader.part(ENVIRONMENT, reader.environment, NO_SUMMARY[0])
    summary, said = reader.part(SUMMARY, reader.summary, NO_SUMMARY)
    rows = reader.part(METRICS, reader.rows, NO_ROWS)
    held, whole = is_held(path), reader.is_sealed and bool(resolved and text)
    status = Status.RUNNING if held else _ended(path, said, env) if whole else Status.DAMAGED
    return RunRecord(
        path, status, summary, said, plan, rows, env, spec, resolved, owner_in(path / LOCK) if held else None,
        tuple(reader.remarks), _changed(path), config,
    )  # fmt: skip


def _plan(text: str) -> Plan | None:
    return read_plan(text)


def _config(text: str) -> Document:
    found = files.mapping(text or "{}").get("config")
    return found if isinstance(found, dict) else {}


@dataclass
class _Reader:
    """Reads what it can, and remembers what it cannot."""

    path: Path
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.is_sealed = self.part(manifest.NAME, lambda: bool(manifest.read(self.path)), False)

    def part(self, name: str, read: Callable[[], T], none: T) -> T:
        """What `read` gives, or nothing and a remark."""
        try:
            return read()
        except FileNotFoundError:
            self.remarks.append(f"{name} is missing")
        except OSError as error:
            self.remarks.append(f"{name}: {error.strerror}")
        except Damaged as error:
            self.remarks.append(str(error) if name in str(error) else f"{name} is damaged: {error}")
        except (ValueError, KeyError, TypeError) as error:
            self.remarks.append(f"{name} is damaged: {error}")
        return none

    def text(self, name: str) -> str:
        """A file of what the run was started with, held to the manifest where there is one."""
        read = partial(begun.read, self.path) if self.is_sealed else self.loose
        return self.part(name, lambda: read(name).decode(), "")

    def environment(self) -> Document:
        """What the figures depend on."""
        return files.mapping(self.text(ENVIRONMENT) or "{}")

    def loose(self, name: str) -> bytes:
        """A file that changes as the run goes on."""
        return files.read_whole(self.path / name, MOST, follow=False)

    def summary(self) -> tuple[Document, Summary]:
        """The document and what it says; nothing of both as long as the run has not ended."""
        if not os.path.lexists(self.path / SUMMARY):
            return NO_SUMMARY
        document = manifest.unsealed(files.mapping(self.loose(SUMMARY)))
        return document, checked(document)

    def rows(self) -> tuple[metrics.Row, ...]:
        """The epochs that are done; before the first one ends there is no table."""
        there = os.path.lexists(self.path / METRICS)
        return tuple(metrics.rows(self.loose(METRICS).decode())) if there else ()


def _ended(path: Path, said: Summary, env: Document) -> Status:
    """How a run has ended that nobody trains and that could go on."""
    plans = env.get("plans")
    asked = plans[-1] if isinstance(plans, list) and plans else said.plan_fingerprint
    if said.status == Status.COMPLETED and said.plan_fingerprint == asked:
        return Status.COMPLETED
    if os.path.lexists(path / LOCK):  # whatever is said of it is of before it was gone on with
        return Status.KILLED
    return Status(said.status) if said.status in (Status.INTERRUPTED, Status.FAILED) else Status.UNKNOWN


def _changed(path: Path) -> float:
    """When a file of the run was last written."""
    found = [0.0]
    for name in (manifest.NAME, PLAN, METRICS, SUMMARY, LOCK, CHECKPOINTS):
        with suppress(OSError, ValueError):
            found.append(os.lstat(path / name).st_mtime)
    return max(found)
