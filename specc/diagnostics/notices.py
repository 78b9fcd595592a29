"""What goes on while somebody waits: whoever wants to show it listens, and nobody else hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Listener = Callable[[str], None]
SoFar = Callable[[int, int], None]  # so many of so many are done
T = TypeVar("T")


class Channel:
    """One kind of things to say, and who listens to it."""

    def __init__(self, name: str) -> None:
        self._listener: ContextVar[Listener | None] = ContextVar(name, default=None)

    def __call__(self, text: str) -> None:
        """Say it."""
        listener = self._listener.get()
        if listener is not None:
            listener(text)

    @contextmanager
    def heard(self, listener: Listener) -> Iterator[None]:
        """Let somebody listen to all that is said inside."""
        token = self._listener.set(listener)
        try:
            yield
        finally:
            self._listener.reset(token)


notice = Channel("notice")  # worth a line of its own, whoever reads it


class Watcher:
    """Who is told what is being done, one thing inside of another; this one shows nothing of it."""

    def begins(self, what: str, *, at_once: bool = False) -> None:
        """Something begins that may take a while; it is to be shown `at_once` where nothing can be while it goes on."""

    def tells(self, text: str) -> None:
        """What is being done now, in place of what was said when it began."""

    def so_far(self, done: int, all: int) -> None:
        """So many of so many are done of what began last."""

    def ends(self) -> None:
        """What began last is over, however it ended."""


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=Watcher())  # noqa: B039  it holds nothing


@contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Let somebody watch all that is done inside, in place of who watched before."""
    token = _watcher.set(by)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def doing(what: str, *, at_once: bool = False) -> Iterator[SoFar]:
    """Something that may take longer than two seconds; gives what to tell of how far it has come."""
    watcher = _watcher.get()
    watcher.begins(what, at_once=at_once)
    try:
        yield watcher.so_far
    finally:
        watcher.ends()


def progress(text: str) -> None:
    """What is being done now, in other words than those that it began with."""
    _watcher.get().tells(text)


def counted(things: Iterable[T], so_far: SoFar, all: int) -> Iterator[T]:
    """The things; whoever takes the next one is done with the one before."""
    numbers = iter(range(all + 1))
    for thing in things:  # and no `enumerate`, which holds on to a thing until it has the next one
        so_far(next(numbers, all), all)
        yield thing
        del thing
