"""What can end a run, each with the exit code and the next thing to type."""

from __future__ import annotations


class RunError(Exception):
    """The run failed: `str(error)` says what happened, `help` what to do about it."""

    exit_code = 3

    def __init__(self, message: str, help: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.help = help


class BudgetExceeded(RunError):
    """The measured peak is over the budget."""

    exit_code = 4


class Interrupted(RunError):
    """The user stopped the run; a checkpoint was saved."""

    exit_code = 130
