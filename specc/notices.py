"""What goes on while somebody waits: whoever wants to show it listens, and nobody else hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def notice(text: str) -> None:
    """Say what takes a while, before it begins."""
    listener = _listener.get()
    if listener is not None:
        listener(text)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear the notices of everything inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
