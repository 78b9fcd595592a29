"""Where a traced network comes from: what a cache is asked for, and what a plan builds its parts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ...language.names import Part
from ...language.schema import Matching
from ...tasks.dtypes import DType, dtype_of
from ...tasks.inputs import PartsIfAny
from .base import Shape

Kind = Literal["torchvision", "timm", "transformers", "module", "traced"]
PACKAGES: dict[Kind, tuple[str, ...]] = {  # what a tracer of such a network needs
    "torchvision": ("torchvision",), "timm": ("timm",), "transformers": ("transformers",), "module": (), "traced": (),
}  # fmt: skip
ASKED = ("num_classes", "classes")  # parameters by which code of the user's is told how many there are

Plainly = Annotated[str, Matching(r"[^\x00-\x1f\x7f$`;|&<>]*", "a name or a path, with nothing a shell acts on")]
Arguments = Annotated[str, Matching(r"[^\x00-\x1f\x7f]*", "JSON on one line")]
Digest = Annotated[str, Matching(r"[0-9a-f]*", "hexadecimal digits")]


@dataclass(frozen=True, slots=True)
class Source:
    """A network by its name, and everything else that decides its graph beside the packages that are installed."""

    kind: Kind
    name: Plainly
    image: Shape
    classes: int  # 0 where that decides nothing
    args: Arguments = "{}"  # further arguments of what builds it, as JSON with sorted keys
    leaves: tuple[Part, ...] = ()  # submodules that are one node each
    digest: Digest = ""  # of the file in which it is described
    dtype: DType = "float32"  # of what it reads
    path: tuple[str, ...] = ()  # of the spec: where it is named
    parts: PartsIfAny = ()  # of a sample that is several inputs, which lie side by side in one of the shape `image`
    # Of tokens that it reads: what they are below. 0: as many as it knows by itself, or it reads none.
    vocabulary: Annotated[int, Field(exclude_if=lambda value: not value)] = 0

    def __post_init__(self) -> None:
        if self.vocabulary:
            object.__setattr__(self, "dtype", dtype_of(self.vocabulary))

    held: Annotated[tuple[Part, ...], Field(exclude_if=lambda names: not names)] = ()  # parameters that nobody trains

    @property
    def where(self) -> tuple[str, ...]:
        """The place in the spec that names it."""
        return self.path or ("backbone", self.kind)
