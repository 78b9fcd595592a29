"""What is wrong with the arguments of an op or macro: every one of them, not only the first."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..diagnostics import did_you_mean, suggest
from ..diagnostics.limits import EXPECTED, comparison
from .ops.entry import arguments
from .ops.ranges import adapter


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake, at the argument `key`; none: at the whole."""

    code: str
    key: str
    message: str
    label: str
    help: tuple[str, ...] = ()
    named: bool = False  # it is the key that is wrong, not its value


def faults(
    kind: Any, values: Mapping[str, Any], own: Collection[str] = (), hidden: Collection[str] = ()
) -> Iterator[Fault]:
    """The mistakes in `values`; the keys `own` may stand beside them, and what is `hidden` is not missing."""
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
                yield Fault("SPC204", key, text, label, help, named=True)
            elif key in values or not key:
                text = f"the argument `{key}` of `{kind.name}` {reason}" if key else f"`{kind.name}`: {reason}"
                yield Fault("SPC206", key, text, reason)
            elif key not in meant and key not in hidden:
                yield Fault("SPC205", "", f"`{kind.name}` needs the argument `{key}`", f"`{key}` is missing")


def _reason(detail: ErrorDetails) -> str:
    """What is wrong, to be read after the name of the argument."""
    rule = comparison(detail["type"], detail.get("ctx", {})) or EXPECTED.get(detail["type"])
    if rule:
        return f"must be {rule}"
    return detail["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
