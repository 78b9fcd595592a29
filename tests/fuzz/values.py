"""What nobody should write into a spec."""

from __future__ import annotations

import random
from typing import Any

from specc.graph.macros import MACROS
from specc.graph.ops import OPS
from specc.spec.lookup import all_mappings, keys_of

KEYS = sorted(
    {key for _, model in all_mappings() for key in keys_of(model)} | {"op", "out", "k", "stride", "from", "repeat"}
)
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 13, 64, 255, 1000, 1001, 2000, 2002, 10_000, 10_001, 999_999, 1_000_000, 1_000_001, 10**9,
    10**9 + 1, 2**31, 2**63 - 1, 2**63, 10**40, -(10**9), -(10**40), 0.0, -0.0, 0.5, 0.999999, 1.0, 1.5, -0.5, 1e-320,
    1e308, -1e308, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "x", "next", "all", "input", "default", "per_unit", "none", "joint", "images", "1c2f", "9c9f", "2c",
    "stage1.0", "stage2.1", "head", "stem", "0", "..", "a.b", "../x", "/dev/zero", "/", "~", "${X}", "${X:-}", "${",
    "6 GiB", "0 B", "999999999999999 TiB", "1e9 GiB", "yes", "010", "0x10", "1_000", ".nan", "null", "[/x]", "{x}",
    "%s%n", "`", "é", "層", "\u202e", "\u2028", "x" * 5_000, "a." * 500, "9" * 100, "\n", "a\tb",
)  # fmt: skip
NO_TEXTS = ("\ud800", "x\udfff", "a\0b", "\x1b[31m", "\x07", "\x9b2J")  # these can be written as escapes only
WORDS = (*TEXTS, *NO_TEXTS, *KEYS, *OPS, *MACROS)


def nasty(draw: random.Random, depth: int = 2) -> Any:
    """Any value: mostly scalars."""
    kind = draw.random()
    if kind < 0.45:
        return draw.choice(NUMBERS)
    if kind < 0.7:
        return draw.choice(WORDS)
    if kind < 0.78:
        return draw.choice((None, True, False))
    if kind < 0.8:
        return nested(draw.choice((3, 40, 63, 70)), draw)
    if kind < 0.82:
        return [draw.choice(NUMBERS)] * draw.choice((20, 300, 2_000))
    if not depth:
        return draw.choice(([], {}))
    if kind < 0.9:
        return [nasty(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {draw.choice(WORDS): nasty(draw, depth - 1) for _ in range(draw.randrange(4))}


def nested(levels: int, draw: random.Random) -> Any:
    """Lists and mappings in one another."""
    value: Any = 1
    for _ in range(levels):
        value = [value] if draw.random() < 0.5 else {draw.choice(KEYS): value}
    return value


def an_op(draw: random.Random) -> dict[str, Any]:
    """An op or a macro with arguments of which some are wrong."""
    from specc.graph.ops.entry import arguments, kind_of

    name = draw.choice((*OPS, *MACROS))
    kind = kind_of(name)
    assert kind is not None
    usual = {"op": name}
    for argument, required in arguments(kind).items():
        if required or draw.random() < 0.3:
            usual[argument] = draw.choice((1, 2, 4, 8, 16)) if draw.random() < 0.7 else nasty(draw, 1)
    return usual
