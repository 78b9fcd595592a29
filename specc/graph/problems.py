"""What can be wrong with a backbone: plain values with places in the spec, which the compiler makes diagnostics of."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the description of a backbone."""

    code: str
    message: str
    path: Path
    label: str = ""
    help: tuple[str, ...] = ()
    related: tuple[tuple[Path, str], ...] = ()  # further places, each with a remark
    named: bool = False  # it is the key at `path` that is meant, not its value
    warning: bool = False


class BackboneError(Exception):
    """A backbone that cannot be built, with everything that is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*(problem.message for problem in problems))
        self.problems = problems
