"""measured.json as a report reads it: what was told of every class, and what every instruction takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..runs.manifest import Damaged, unsealed
from ..system import files

NAME = "measured.json"
MOST = 1 << 26  # bytes: a confusion of a thousand classes is a hundredth of that
Count = tuple[int, int, int]
Part = TypeVar("Part", bound=BaseModel)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Told(_Document):
    """What the network told of the samples of a set; [class, what it was told to be, how often], or of every label."""

    on: str
    epochs: int
    kind: Literal["class", "map", "multi_label"]
    classes: int = Field(0, ge=0, le=100_000)
    told: tuple[Count, ...] = ()
    labels: tuple[Count, ...] = ()  # [told rightly, told at all, there]

    @model_validator(mode="after")
    def _of_the_classes(self) -> Self:
        if any(min(each) < 0 or max(each[:2]) >= self.classes for each in self.told):
            raise ValueError("it counts classes that there are not")
        if any(min(each) < 0 for each in self.labels):
            raise ValueError("it counts less than nothing")
        return self

    @cached_property
    def samples(self) -> list[int]:
        """How many there are of every class."""
        found = [0] * self.classes
        for is_, _, count in self.told:
            found[is_] += count
        return found


class StepTaken(_Document):
    """What every instruction takes, in the order of the plan's; of a step that ended early as far as it came."""

    plan_fingerprint: str
    device: str
    timed_steps: int = 0
    seconds: tuple[float, ...] = ()
    seconds_after: float = 0.0
    peak_bytes: tuple[int, ...] = ()


class Measured(_Document):
    """The document."""

    told: Told | None = None
    step: StepTaken | None = None


def read(folder: Path) -> tuple[Measured, str]:
    """What is there, and what is wrong with it; an older specc and a run that is not over left nothing."""
    try:
        document = unsealed(files.mapping(files.read_whole(folder / NAME, MOST, follow=False)))
    except FileNotFoundError:
        return Measured(), ""
    except OSError as error:
        return Measured(), f"{NAME}: {error.strerror}"
    except (Damaged, ValueError) as error:
        return Measured(), f"{NAME} is damaged: {error}"
    return _checked(document)


def _checked(document: Mapping[str, Any]) -> tuple[Measured, str]:
    try:
        return Measured.model_validate_json(json.dumps(document)), ""
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(f"{part!s:.60}" for part in found["loc"])
        return Measured(), f"{NAME} is damaged: {where:.200}: {found['msg']:.200}"
