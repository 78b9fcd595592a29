"""What can end a run, each with the exit code and the next thing to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from specc.diagnostics import Diagnostic
    from specc.plan import Plan


class RunError(Exception):
    """The run failed: `str(error)` says what happened, `help` what to do about it."""

    exit_code = 3
    told = False  # another process of the run says it

    def __init__(self, message: str, help: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.help = help


class FoundInSpec(RunError):
    """What a run cannot begin with, each at its place in the spec; shown as the compiler's diagnostics are."""

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, str]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics, self.sources = tuple(diagnostics), sources


class RankLost(RunError):
    """Another process of the run is gone, or does not answer."""

    def __init__(self, message: str, rank: int | None, help: tuple[str, ...] = ()) -> None:
        super().__init__(message, help)
        self.rank = rank


class Shown(RunError):
    """What another process has to say, in `text` as it is to be shown."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.exit_code, self.text = code, text


class WriteError(RunError):
    """The disk does not take what the run has to leave behind."""


class BudgetExceeded(RunError):
    """The measured peak is over the budget.

    With the plan, and what came on top of its prediction, the command line can say which changes would fit.
    """

    exit_code = 4

    def __init__(self, message: str, help: tuple[str, ...] = (), plan: Plan | None = None, excess: int = 0,
                 folder: Path | None = None) -> None:  # fmt: skip
        super().__init__(message, help)
        self.plan, self.excess, self.folder = plan, excess, folder


class Interrupted(RunError):
    """The user, or who manages the machine, stopped the run, by whichever signal."""

    exit_code = 130
