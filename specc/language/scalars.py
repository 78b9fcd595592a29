"""Plain scalars: the core schema of YAML 1.2, and the habits of YAML 1.1 that it reads as something else."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_DIGITS = 64  # nothing in a spec is larger, and Python refuses to print very long integers

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = {"0o": 8, "0x": 16}

_TRUE_1_1, _FALSE_1_1 = frozenset({"yes", "on"}), frozenset({"no", "off"})
_OCTAL_1_1 = re.compile(r"[-+]?0[0-9]+")
_GROUPED_1_1 = re.compile(r"[-+]?[1-9][0-9]*(_[0-9]+)+(\.[0-9]*)?")
_BINARY_1_1 = re.compile(r"[-+]?0b[01]+")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Why a scalar is not taken as it stands: a diagnostic without its place, and the value to go on with."""

    code: str
    message: str
    label: str
    help: str
    value: Scalar


def resolve(text: str) -> Scalar:
    """The value of a plain scalar.

    >>> [resolve(text) for text in ("1e-4", "0o17", "010", "yes", "~")]
    [0.0001, 15, 10, 'yes', None]
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":  # most scalars are words; this keeps long files fast
        return text
    if _INTEGER.fullmatch(text):
        return int(text[:MAX_DIGITS].removeprefix("0o").removeprefix("0x"), _BASES.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text


def ambiguity(text: str) -> Ambiguity | None:
    """What is ambiguous about a plain scalar used as a value: other readers of YAML take it for something else."""
    if text[:1] in "+-0123456789":
        return _ambiguous_number(text)
    if (word := text.lower()) not in _TRUE_1_1 | _FALSE_1_1:
        return None
    meant = word in _TRUE_1_1
    help = f'write `{str(meant).lower()}`, or "{text}" in quotes if you mean the word'
    return Ambiguity("SPC016", f"`{text}` is not a boolean", _as_string(text), help, meant)


def _ambiguous_number(text: str) -> Ambiguity | None:
    if len(text) > MAX_DIGITS and _INTEGER.fullmatch(text):
        help = f"at most {MAX_DIGITS} digits are read"
        return Ambiguity("SPC025", "integer too long", f"{len(text)} characters", help, None)
    if _OCTAL_1_1.fullmatch(text):
        return _habitual_octal(text)
    binary = _BINARY_1_1.fullmatch(text)
    if not binary and not _GROUPED_1_1.fullmatch(text):
        return None
    plain = str(int(text, 2)) if binary else text.replace("_", "")
    return _habitual_number(text, _as_string(text), plain, resolve(plain))


def _as_string(text: str) -> str:
    return f'YAML 1.2 reads this as the string "{text}"'


def _habitual_octal(text: str) -> Ambiguity:
    value = resolve(text)
    digits = text.lstrip("+-0")
    octal = f", or `0o{digits}` if you mean octal" if digits and not set(digits) & set("89") else ""
    return _habitual_number(text, f"YAML 1.2 reads this as {value}, YAML 1.1 as octal", f"{value}", value, octal)


def _habitual_number(text: str, label: str, plain: str, value: Scalar, otherwise: str = "") -> Ambiguity:
    return Ambiguity("SPC017", f"`{text}` is ambiguous as a number", label, f"write `{plain}`{otherwise}", value)
