"""What goes on while somebody waits: whoever wants to show it listens, and nobody else hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]


class Channel:
    """One kind of things to say, and who listens to it."""

    def __init__(self, name: str) -> None:
        self._listener: ContextVar[Listener | None] = ContextVar(name, default=None)

    def __call__(self, text: str) -> None:
        """Say it, before it begins."""
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


notice = Channel("notice")  # what takes a while, worth a line of its own
progress = Channel("progress")  # how far it has come, worth a line that is written anew
