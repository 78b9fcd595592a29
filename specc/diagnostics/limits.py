"""What a value has to be, in the words of every message: of keys, and of the arguments of ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXPECTED = {
    "int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "`true` or `false`",
    "list_type": "a list", "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "int_from_float": "a whole number", "mapping_type": "a mapping",
}  # fmt: skip
_COMPARISONS = {
    "greater_than": "greater than {gt}", "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}", "less_than_equal": "at most {le}",
}  # fmt: skip


def comparison(kind: str, context: Mapping[str, Any]) -> str | None:
    """The end of its range that a number has passed, if that is what is wrong.

    >>> comparison("less_than_equal", {"le": 20000})
    'at most 20,000'
    """
    if kind not in _COMPARISONS:
        return None
    return _COMPARISONS[kind].format(**{name: _bound(number) for name, number in context.items()})


def _bound(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"
