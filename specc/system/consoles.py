"""Rich's console on a stream of ours, which asks nobody but `terminal` what the stream is."""

from __future__ import annotations

from typing import Any, Literal

from rich.console import Console, ConsoleDimensions

from .terminal import colours, is_dumb, is_terminal, width

_BOUNDLESS = 1_000_000  # columns of what is no terminal


class StreamConsole(Console):
    """As wide as the terminal is at the moment; away from one nothing is wrapped. No language: names are no markup."""

    def __init__(self, stream: Any) -> None:
        terminal = is_terminal(stream)
        system: Literal["auto", "standard"] | None = "auto" if terminal and not is_dumb() else "standard"
        system = system if colours(stream) else None
        super().__init__(
            file=stream, force_terminal=terminal, color_system=system, no_color=system is None,
            highlight=False, markup=False, emoji=False,
        )  # fmt: skip
        self._width = None  # `COLUMNS` is read anew as well

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines."""
        return ConsoleDimensions(width(self.file) or _BOUNDLESS, super().size.height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        raise AttributeError("a terminal is as wide as it is")
