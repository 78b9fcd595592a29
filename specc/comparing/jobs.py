"""What a comparison needs trained: every spec at every seed, and the run directory that has it, or is to have it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from ..plan import Plan
from ..runs import RunRecord, Status, find_runs, read_run
from ..runs.finding import is_run
from ..system import files

LOG = "output.log"  # of all processes that trained in a run directory, one after the other
_WORTH = (Status.COMPLETED, Status.RUNNING, Status.INTERRUPTED, Status.KILLED, Status.UNKNOWN, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Job:
    """One spec at one seed."""

    spec: Path
    name: str
    seed: int
    overrides: tuple[str, ...]
    epochs: int
    fingerprint: str  # of the plan at this seed
    home: Path  # the folder that its run directory is in

    def __str__(self) -> str:
        return f"{self.name} seed {self.seed}"

    @property
    def folder_name(self) -> str:
        """What its run directory is called."""
        return f"seed{self.seed}-{self.fingerprint[:8]}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a job is: its run, where there is one, and what was found beside it that is of no use."""

    job: Job
    record: RunRecord | None = None
    remarks: tuple[str, ...] = ()
    cause: str | None = None  # of a process that ended before there was a run

    @property
    def status(self) -> Status | None:
        """What has become of the run; None where there is none."""
        return self.record.status if self.record else None


def jobs_of(spec: Path, plan: Plan, seeds: Sequence[int], overrides: Sequence[str], root: Path) -> Iterator[Job]:
    """A spec at every seed, or at its own where none is given."""
    for seed in seeds or [plan.config.train.seed]:
        seeded = replace(plan, config=plan.config.changed("train", seed=seed))
        words = (*overrides, f"train.seed={seed}")
        yield Job(spec, plan.name, seed, words, plan.config.train.epochs, seeded.fingerprint, root / plan.name)


def standing(job: Job, kind: str | None) -> Standing:
    """The run of a job that has come furthest; of another kind of device than is asked for none is complete."""
    records = [read_run(path, with_plan=False) for path in find_runs(job.home)]
    found = [record for record in records if is_of(record, job)]
    useful = [record for record in found if record.status in _WORTH and not _elsewhere(record, kind)]
    best = min(useful, key=_rank, default=None)
    damaged = (record for record in found if record.status is Status.DAMAGED)
    remarks = [f"{record.path}: {remark}" for record in damaged for remark in record.remarks]
    remarks += [f"{best.path}: {remark}" for remark in best.remarks] if best else []
    return Standing(job, best, tuple(remarks))


def is_of(record: RunRecord, job: Job) -> bool:
    """Whether a run is the job's: of its plan now, or where the job's runs are as long as nobody changed it.

    What a run finds in a folder of images may be in its plan, and is not in the spec's.
    """
    plans = record.fingerprints
    if job.fingerprint in (record.said.plan_fingerprint, *plans[-1:]):
        return True
    named = re.fullmatch(rf"{re.escape(job.folder_name)}(-\d+)?", record.path.name)
    return named is not None and len(plans) < 2


def _elsewhere(record: RunRecord, kind: str | None) -> bool:
    """Whether it was done on another kind of device than is asked for."""
    return record.status is Status.COMPLETED and kind is not None and record.said.device.partition(":")[0] != kind


def _rank(record: RunRecord) -> tuple[int, int, float]:
    return _WORTH.index(record.status), -record.epochs_done, -record.changed


def new_folder(job: Job) -> Path:
    """Where a new run of the job is to be: its own folder, or with a number where another one is there."""
    names = chain([job.folder_name], (f"{job.folder_name}-{number}" for number in count(2)))
    return next(folder for name in names if _is_vacant(folder := job.home / name))


def _is_vacant(folder: Path) -> bool:
    """Whether nothing is there, but perhaps the words of a process that never came to begin."""
    try:
        return not is_run(folder) and set(files.names_in(folder)) <= {LOG}
    except FileNotFoundError:
        return True
    except OSError:
        return False
