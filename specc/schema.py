"""The base of every configuration model and the scalar types they share."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

UNITS = {"": 1, "B": 1} | {
    f"{letter}{tail}": base**power
    for power, letter in enumerate("KMGT", 1)
    for tail, base in (("iB", 1024), ("B", 1000))
}


class Config(BaseModel):
    """A mapping in the spec: unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False, protected_namespaces=())

    aliases: ClassVar[dict[str, str]] = {}  # the field's other names for a key, for "did you mean"


def parse_bytes(value: Any) -> Any:
    """``6 GiB``, ``512MB`` or a plain number of bytes, as bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        unit = match and {name.lower(): size for name, size in UNITS.items()}.get(match[2].lower())
        if not match or not unit:
            raise ValueError("not a memory size; write a number and a unit, for example `6 GiB` or `512 MB`")
        return int(float(match[1]) * unit)
    if isinstance(value, float) and not isinstance(value, bool):
        raise ValueError("bytes are whole numbers; with a unit fractions are fine: `1.5 GiB`")
    return value


Bool = StrictBool
Text = StrictStr
Int = StrictInt
Count = Annotated[StrictInt, Field(ge=1)]
Index = Annotated[StrictInt, Field(ge=0)]
Real = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Positive = Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[StrictFloat, Field(ge=0, le=1, allow_inf_nan=False)]
Bytes = Annotated[StrictInt, BeforeValidator(parse_bytes), Field(ge=1)]
Grid = Annotated[list[Count], Field(min_length=2, max_length=2)]


def show_bytes(size: float) -> str:
    """A size as people read it: ``3.71 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
