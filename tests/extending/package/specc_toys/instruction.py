"""An instruction kind: what a step does besides, what that reads and writes, and where it stands."""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from specc.extending import Addition, AddsTo, Backward, Extension, Instruction, Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Soften(Extension):
    """Divides a gradient before it goes through a block."""

    kind: Literal["soften"] = "soften"
    gradient: AddsTo  # reads and writes it: after all heads, before the backward
    by: float

    def run(self, values: MutableMapping[str, Any], machine: Any) -> None:
        machine.shrink(values[self.gradient], self.by)


class Softened(Addition):
    """Smaller gradients for the backbone, not for the heads."""

    kind: Literal["soften"]
    by: Positive = Field(2.0, description="what gradients are divided by")

    instruction: ClassVar[type[Extension]] = Soften

    def into(self, program: Sequence[Instruction]) -> Iterator[Instruction]:
        for step in program:
            if isinstance(step, Backward):
                yield Soften(gradient=step.cotangent, by=self.by, slice=step.slice)
            yield step
