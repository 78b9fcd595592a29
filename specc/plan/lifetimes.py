"""How long values live in an order of instructions: what backwards retain, and what dies after its last reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .instructions import Backward, Forward, Free, Instruction


def with_retain(ordered: list[Instruction]) -> list[Instruction]:
    """Every backward through a block but its last keeps what the next one needs."""
    last = {(one.block, one.slice): i for i, one in enumerate(ordered) if isinstance(one, Backward)}
    return [
        replace(one, retain=i < last[one.block, one.slice]) if isinstance(one, Backward) else one
        for i, one in enumerate(ordered)
    ]


def with_frees(ordered: list[Instruction], last: int) -> Iterator[Instruction]:
    """The instructions, each followed by the values that nobody reads any more.

    The caller's batch stays, and for the caller what the `last` block gives.
    """
    last_use: dict[str, int] = {}
    made: set[str] = set()
    for i, one in enumerate(ordered):
        last_use |= dict.fromkeys(one.reads | one.writes, i)
        made |= one.writes
    logits = {one.output for one in ordered if isinstance(one, Forward) and one.block == last}
    dying: dict[int, list[str]] = {}
    for value, i in last_use.items():
        given = value.startswith(("images", "labels")) and value not in made
        if not given and value not in logits and ":" not in value:
            dying.setdefault(i, []).append(value)
    for i, one in enumerate(ordered):
        yield one
        if i in dying:
            yield Free(values=tuple(sorted(dying[i])))
