"""What is wrong with what a layer does: every wrong argument, not only the first, and which op or group an unknown name
probably stands for; of the two kinds, one is easily written for the other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..diagnostics import did_you_mean, suggest
from ..language.schema import EXPECTED, comparison
from .macros import MACROS
from .ops import OPS
from .ops.codec import adapter
from .ops.entry import arguments
from .problems import Problem


def faults(
    kind: Any, values: Mapping[str, Any], own: Collection[str] = (), hidden: Collection[str] = ()
) -> Iterator[Problem]:
    """The mistakes in `values`, each at an argument or at the whole.

    The keys `own` may stand beside them, and what is `hidden` is not missing.
    """
    try:
        adapter(kind).validate_json(json.dumps(dict(values)))
    except ValidationError as error:
        wrong: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            wrong.setdefault(str(detail["loc"][0]) if detail["loc"] else "", _reason(detail))
        valid = list(arguments(kind))
        meant = {suggest(key, valid, kind.aliases) for key in wrong if key not in valid}
        for key, reason in wrong.items():
            if key and key not in valid:
                help = did_you_mean(key, [*valid, *own], kind.aliases)
                text, label = f"unknown argument `{key}` of `{kind.name}`", f"not an argument of `{kind.name}`"
                yield Problem("SPC204", text, (key,), label, help, named=True)
            elif key in values or not key:
                text = f"the argument `{key}` of `{kind.name}` {reason}" if key else f"`{kind.name}`: {reason}"
                yield Problem("SPC206", text, (key,) if key else (), reason)
            elif key not in meant and key not in hidden:
                yield Problem("SPC205", f"`{kind.name}` needs the argument `{key}`", (), f"`{key}` is missing")


def _reason(detail: ErrorDetails) -> str:
    """What is wrong, to be read after the name of the argument."""
    rule = comparison(detail["type"], detail.get("ctx", {})) or EXPECTED.get(detail["type"])
    if rule:
        return f"must be {rule}"
    return detail["msg"].replace("Input should be", "must be").removeprefix("Value error, ")


def unknown_op(name: str, groups: Collection[str]) -> tuple[str, ...]:
    """Help for an `op:` that is none.

    >>> unknown_op("bottle", ["bottle"])
    ('`bottle` is a group of this spec: write `group: bottle`',)
    """
    if name in groups:
        return (f"`{name}` is a group of this spec: write `group: {name}`",)
    ops = [*OPS, *MACROS]
    near = suggest(name, [*ops, *groups])
    return (f"did you mean `group: {near}`?",) if near in groups else did_you_mean(name, ops)


def unknown_group(name: str, groups: Collection[str]) -> tuple[str, ...]:
    """Help for a `group:` that is none.

    >>> unknown_group("relu", [])
    ('`relu` is an op: write `op: relu`',)
    """
    if name in OPS or name in MACROS:
        return (f"`{name}` is an op: write `op: {name}`",)
    return did_you_mean(name, groups) if groups else ("groups stand under `define:`",)
