"""Keeps the logs of a run: what they were told already, that each epoch is told once, and that none of them ends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specc.diagnostics.notices import doing
from specc.runs.metrics import rows
from specc.spec.sections.log import LOGS

from ...errors import RunError
from ...named import named
from ..rundir import RunDir
from .protocol import LoggedRun, Logger

FOLDER = "logs"  # of the run directory
_ID = re.compile(r"[\w.-]{0,200}")
_PART = re.compile(r"(train|val|test)_(?=.)")


@dataclass
class Book:
    """One log, what it calls the run, and how many epochs it has."""

    name: str
    logger: Logger
    id: str = ""
    epochs: int = 0


class Logs:
    """The logs of one run, in the order of its spec; what one of them raises is said, and it is told no more."""

    def __init__(self, run: RunDir, names: list[str], say: Callable[[str], None]) -> None:
        self.run, self.say = run, say
        self.books: list[Book] = []
        for name in names:
            if LOGS[name].torch:
                self.books.append(Book(name, named(LOGS[name].torch, f"the log `{name}`")(), *_known(run, name)))

    def begin(self, told: LoggedRun) -> None:
        """Open them all; each is told of the epochs that it does not have yet, which `metrics.csv` knows."""
        for book in [*self.books]:
            with self._without_harm(book), doing(f"opening the log `{book.name}`"):
                folder = _own_folder(self.run, book.name)
                book.id = book.logger.begin(replace(told, folder=folder, id=book.id, epochs=book.epochs))
                self._keep(book)
                for row in rows(self.run.written_metrics().decode()):
                    self._tell(book, row)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch's row."""
        for book in [*self.books]:
            with self._without_harm(book), doing(f"telling the log `{book.name}`"):
                self._tell(book, row)

    def end(self, summary: Mapping[str, Any]) -> None:
        """How the run ended; nothing is told after that."""
        found = {f"{part}/{name}": float(value) for part in ("test", "validation")
                 for name, value in (summary.get(part) or {}).items()}  # fmt: skip
        books, self.books = self.books, []
        for book in books:
            with self._without_harm(book), doing(f"closing the log `{book.name}`"):
                book.logger.end(str(summary["status"]), found)

    def _tell(self, book: Book, row: Mapping[str, Any]) -> None:
        number = int(row["epoch"])
        if number > book.epochs:
            book.logger.epoch(number, figures_of(row))
            book.epochs = number
            self._keep(book)

    @contextmanager
    def _without_harm(self, book: Book) -> Iterator[None]:
        """Whatever is raised in somebody else's tool, or for it, ends that log and no run."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.books = [each for each in self.books if each is not book]
            why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            self.say(f"warning: the log `{book.name}` ends here, and the run goes on: {why}")

    def _keep(self, book: Book) -> None:
        self.run.write_json(_kept(book.name), {"id": book.id, "epochs": book.epochs})


def figures_of(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of `metrics.csv` as logs name its columns.

    >>> figures_of({"epoch": 3, "lr": 0.1, "train_accuracy": 0.5, "test_unit0.a.loss": 2})
    {'lr': 0.1, 'train/accuracy': 0.5, 'test/unit0.a.loss': 2.0}
    """
    known = {name: value for name, value in row.items() if name != "epoch" and value is not None}
    return {_PART.sub(r"\1/", name, count=1): float(value) for name, value in known.items()}


def _kept(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _known(run: RunDir, name: str) -> tuple[str, int]:
    """What an earlier process kept; nothing where it is not what one writes."""
    id, epochs = (run.known(_kept(name), key) for key in ("id", "epochs"))
    if isinstance(id, str) and _ID.fullmatch(id) and type(epochs) is int and epochs >= 0:
        return id, epochs
    return "", 0


def _own_folder(run: RunDir, name: str) -> Path:
    """Where a log may put its files: a folder of the run directory, and no link to somewhere else."""
    for path in (folders := (run.path / FOLDER, run.path / FOLDER / name)):
        if path.is_symlink():
            raise RunError(f"{path} is a link, and may lead anywhere")
    folders[0].mkdir(exist_ok=True)
    return folders[1].resolve()
