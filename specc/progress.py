"""What a long search has to say while it runs, to whoever listens; nobody does, unless a command asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(text: str) -> None:
    """Say what is being done now."""
    listener = _listener.get()
    if listener is not None:
        listener(text)


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Let somebody listen to everything in between."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)
