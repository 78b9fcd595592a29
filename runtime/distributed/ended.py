"""What a launcher says of the ranks that it had started: the cause, which of them, and how to go on."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from specc.runs.checkpoints import exists
from specc.system.ranks import RUN, Report, left, reports

from ..errors import Interrupted, RunError, Shown

Ending = ChildFailedError | SignalException | RunError | None  # as torch's launcher, or what it stands on, has it
GIVEN_UP = "given-up"  # says that ranks were killed by the launcher, which had not answered
NCCL = "Watchdog caught collective operation timeout"  # what torch's process group says before it aborts the process
_TAIL = 1 << 16  # characters of what a rank printed that are looked at for what went wrong


def ended(folder: Path, failed: Ending, words: Sequence[str]) -> RunError | None:
    """What to say: the rank's own words where it has some, else by which signal it was killed."""
    said = reports(folder)
    own = next((each for each in said if not each.lost and each.code != Interrupted.exit_code), None)
    help = what_next(folder, words)
    if own is not None:
        return _of(own, help)
    lost = next((each for each in said if each.lost), None)
    if lost is not None and (folder / GIVEN_UP).exists():
        return _of(lost, help)
    if isinstance(failed, ChildFailedError) and (killed := _killed(failed, folder)):
        rank, what = killed
        return RunError(f"rank {rank} {what}", help)
    if lost is not None:
        return _of(lost, help)
    if isinstance(failed, RunError):
        return failed
    if stopped := next(iter(sorted(said, key=lambda each: each.rank)), None):
        return _interrupted(stopped, help)
    if isinstance(failed, SignalException):
        return Interrupted("interrupted", help)
    return None if failed is None else RunError(str(failed).splitlines()[0], help)


def _of(found: Report, help: Sequence[str]) -> RunError:
    if found.text:
        return Shown(found.code, found.text)
    prefix = "" if found.lost or found.message.startswith("rank ") or found.rank == 0 else f"rank {found.rank}: "
    error = RunError(prefix + found.message, tuple(dict.fromkeys((*found.help, *help))))
    error.exit_code = found.code
    return error


def _interrupted(found: Report, help: Sequence[str]) -> Interrupted:
    return Interrupted(found.message, found.help or tuple(help))


def _killed(failed: ChildFailedError, folder: Path) -> tuple[int, str] | None:
    """The rank that ended first of those without a word, and of what; a broken pipe is never the cause."""
    for rank, failure in sorted(
        failed.failures.items(), key=lambda each: (each[1].exitcode == -signal.SIGPIPE, each[1].timestamp)
    ):
        if failure.exitcode < 0:
            return rank, _by_signal(-failure.exitcode, folder, failure.local_rank)
        if failure.exitcode != Interrupted.exit_code and not any(each.rank == rank for each in reports(folder)):
            return rank, f"ended with exit code {failure.exitcode}{_last_line(folder, failure.local_rank)}"
    return None


def _by_signal(number: int, folder: Path, local: int) -> str:
    """What a signal says of a rank that said nothing; torch has nccl's watchdog abort a process that waits too long."""
    if number == signal.SIGKILL:
        return f"was killed (signal {number}): the machine may have run out of memory"
    if number != signal.SIGABRT:
        return f"was killed (signal {number})"
    lines = _printed(folder, local)
    if waited := next((line for line in lines if NCCL in line), ""):
        return f"gave up, as another rank did not answer (signal {number}): {NCCL + waited.partition(NCCL)[2]}"
    return f"aborted (signal {number})" + (
        f": {lines[-1]}" if lines else ", which torch does to one on a GPU that waits too long for another"
    )


def _last_line(folder: Path, local: int) -> str:
    """What it printed last, which of a bug is the error's own line."""
    lines = _printed(folder, local)
    return f": {lines[-1]}" if lines else ""


def _printed(folder: Path, local: int) -> list[str]:
    """The last lines of a rank's errors; of the first one of a machine none, as they are on the terminal."""
    for path in folder.glob(f"*/attempt_0/{local}/stderr.log"):
        with suppress(OSError):
            return path.read_text(errors="replace")[-_TAIL:].strip().splitlines()
    return []


def what_next(folder: Path, words: Sequence[str]) -> tuple[str, ...]:
    """What is left of the run, and how to go on with it."""
    path = left(folder, RUN)
    if not path:
        return ("nothing was trained",)
    stands = "the last checkpoint stands" if exists(Path(path)) else "no checkpoint was saved yet"
    return stands, f"then: {shlex.join(['specc', 'resume', path, *words])}"
