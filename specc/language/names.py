"""What things may be called in files that specc writes and reads again: nothing that a shell or a terminal acts on."""

from __future__ import annotations

from typing import Annotated

from .schema import Matching

_WORD = r"[\w.]+"  # what layers may be called, and whatever is called after them
Name = Annotated[str, Matching(_WORD, "letters, digits, `_` and `.`")]
Prefix = Annotated[str, Matching(rf"({_WORD}\.)?", "a name and a `.`, or nothing")]
Value = Annotated[str, Matching(rf"@?{_WORD}(@\d+)?", "a name, of a slice with `@` and its number")]
State = Annotated[str, Matching(rf"(params|ema):{_WORD}", "`params:` or `ema:` and a name")]
Part = Annotated[str, Matching(r"[\w.]*", "a name, or nothing")]
