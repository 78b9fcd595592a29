"""The base of every configuration model and the scalar types they share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# Every whole number of the language has an upper bound, far above what anybody trains: what lies beyond is a slip, and
# would be answered with a hang. The arguments of ops and macros have the same ranges as the keys of families and heads.
MOST = 1_000_000_000  # images, epochs, steps
WIDEST = 1_000_000  # channels, pixels, attention heads
DEEPEST = 1_000  # layers that one number asks for
LARGEST = 1 << 60  # bytes

UNITS = {"": 1, "B": 1} | {
    f"{letter}{tail}": base**power
    for power, letter in enumerate("KMGT", 1)
    for tail, base in (("iB", 1024), ("B", 1000))
}


SIZE = r"^\s*\d+(\.\d+)?\s*([kKmMgGtT]([iI]?[bB]))?[bB]?\s*$"


class Config(BaseModel):
    """A mapping in the spec: unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False, protected_namespaces=())

    aliases: ClassVar[dict[str, str]] = {}  # the field's other names for a key, for "did you mean"
    alternatives: ClassVar[tuple[str, ...]] = ()  # keys that tell which of several things excluding one another it is


def problem(
    code: str, message: str, *, key: str = "", beside: str = "", label: str = "", help: str = ""
) -> PydanticCustomError:
    """A mistake with a code of its own, to be raised in a validator.

    `key` and `beside` name the fields that it is about: the first is pointed at, the second shown as well.
    """
    told = {"code": code, "key": key, "beside": beside, "label": label or message, "help": help}
    return PydanticCustomError("problem", "{message}", {**told, "message": message})


def only_with(**values: str | list[str]) -> JsonDict:
    """For `json_schema_extra`: the field has an effect only where the fields beside it have one of these values."""
    return {"only_with": {name: [value] if isinstance(value, str) else list(value) for name, value in values.items()}}


@dataclass(frozen=True, slots=True)
class Matching:
    """The annotation of a text that matches a pattern; `rule` says so to people."""

    pattern: str
    rule: str

    def check(self, value: str) -> str:
        """The value itself, or an error with the rule."""
        if not re.fullmatch(self.pattern, value):
            raise problem("SPC109", f"`{value[:40]}` is not accepted here", label="of another form", help=self.rule)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonDict:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


# What a value has to be, by pydantic's kinds of errors, in the words of every message: of keys and of ops' arguments.
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


_SIZE_HELP = "write a number and a unit, like `6 GiB` or `512 MB`"


def _size_help(number: str, letter: str) -> str:
    """What may have been meant: `1G` leaves open which gigabyte it is."""
    meant = [f"`{number} {name}`" for name in UNITS if letter and name[1:] in ("iB", "B") and name[0] == letter.upper()]
    return f"did you mean {' or '.join(meant)}?" if meant else _SIZE_HELP


def parse_bytes(value: Any) -> Any:
    """``6 GiB``, ``512MB`` or a plain number of bytes, as bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+]?\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]*)\s*", value)
        unit = match and {name.lower(): size for name, size in UNITS.items()}.get(match[2].lower())
        if not match or not unit:
            units = ", ".join(name for name in UNITS if name)
            label = "no such unit" if match else "a number and a unit are expected"
            message = f"`{value[:40]}` is not a memory size: the units are {units}"
            raise problem("SPC502", message, label=label, help=_size_help(match[1], match[2]) if match else _SIZE_HELP)
        value = int(float(match[1]) * unit)
    if isinstance(value, float):
        raise problem("SPC502", "a fraction of a byte is no memory size", label="not whole", help=_SIZE_HELP)
    if isinstance(value, int) and not isinstance(value, bool) and value <= 0:
        raise problem("SPC503", f"a memory size of {value} bytes is not positive", label="above zero", help=_SIZE_HELP)
    return value


Bool = StrictBool
Text = StrictStr
PathText = Annotated[StrictStr, Field(json_schema_extra={"environment": True})]  # reads `${NAME:-default}`
Count = Annotated[StrictInt, Field(ge=1, le=MOST)]
Index = Annotated[StrictInt, Field(ge=0, le=MOST)]
Width = Annotated[StrictInt, Field(ge=1, le=WIDEST)]
Extent = Width
Border = Annotated[StrictInt, Field(ge=0, le=WIDEST)]
Repeats = Annotated[StrictInt, Field(ge=1, le=DEEPEST)]
FewRepeats = Annotated[StrictInt, Field(ge=1, le=100)]  # in a head, of which there are many
Seed = Annotated[StrictInt, Field(ge=0, lt=1 << 63)]
Real = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Factor = Annotated[StrictFloat, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]  # a product of two is a number
Positive = Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[StrictFloat, Field(ge=0, le=1, allow_inf_nan=False)]
Probability = Annotated[StrictFloat, Field(ge=0, lt=1, allow_inf_nan=False)]  # of dropping something: not all of it
Bytes = Annotated[
    StrictInt,
    Field(ge=1, le=LARGEST),
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": SIZE}, {"type": "integer", "minimum": 1, "maximum": LARGEST}]}
    ),
]
Grid = Annotated[list[Annotated[StrictInt, Field(ge=1, le=32)]], Field(min_length=2, max_length=2)]


def exact_bytes(size: int) -> str | int:
    """A size as it is written, without a byte of difference: ``290 MiB``; a plain number where no unit goes with it."""
    fitting = [(name, number) for name, number in UNITS.items() if name and size % number == 0]
    name, number = max(fitting, key=lambda unit: unit[1], default=("", 1))
    return f"{size // number} {name}" if number > 1 else size


def show_bytes(size: float) -> str:
    """A size as people read it: ``3.71 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
