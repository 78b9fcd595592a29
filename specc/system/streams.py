"""The standard streams: there from the beginning, and given up where nobody takes what is written to them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, Any, TextIO

from .terminal import is_dumb, is_terminal

_NAMES = ("stdin", "stdout", "stderr")  # by their numbers


def ensure() -> None:
    """Give streams that were closed somewhere to go: the next file that is opened would have their number.

    What a library says to "standard error" would then end up in that file.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            _to_nowhere(number)
        if getattr(sys, name) is None:  # as the interpreter leaves what is closed
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def stuck(stream: TextIO) -> OSError | None:
    """What keeps a stream from taking what was written to it: a full disk, a reader that has gone."""
    try:
        stream.flush()
    except OSError as error:
        return error
    return None


def mute(stream: TextIO) -> None:
    """From now on what is written to a stream goes nowhere, also what it has taken and not passed on."""
    with suppress(OSError):  # no stream of the system's, so nobody waits for it
        _to_nowhere(stream.fileno())


class NotTaken(Exception):
    """What was written to a stream is not taken; `reason` says why."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(f"cannot write to stdout: {reason.strerror}")
        self.reason = reason


class Stream:
    """A standard stream, and what becomes of what it does not take."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self.refused(error)
            return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        if reason := stuck(self._stream):
            self.refused(reason)

    def refused(self, reason: OSError) -> None:
        """Give it up."""
        mute(self._stream)


class Results(Stream):
    """For what a command is there to write: where that is not taken, it has failed."""

    def refused(self, reason: OSError) -> None:
        """Say so, for once."""
        mute(self._stream)
        raise NotTaken(reason) from None


def animated(stream: IO[str]) -> bool:
    """Whether lines may be written anew there: on a terminal that knows how, whatever asks for colours elsewhere."""
    return is_terminal(stream) and not is_dumb()


def messages() -> Any:
    """Standard error, for what is said beside the results: nothing ends where nobody takes it any more."""
    return Stream(sys.stderr)


def results() -> Any:
    """Standard output."""
    return Results(sys.stdout)


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, number)
    if nowhere != number:
        os.close(nowhere)
