"""A module that Python handed over: what a plan says of it, so that it is known again."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictInt, field_validator

from ...language.schema import Config, Matching, Text
from ...tasks.dtypes import DType
from ...tasks.inputs import dtype_of_samples, parts_in
from ..frozen import with_frozen
from ..graph import BackboneGraph
from ..ops import Shape, show
from ..ops.source import Source
from ..problems import BackboneError, Problem
from ..traced.backbone import Backbone
from .foreign import Inputs, Leaves
from .traced_family import TracedFamily

PATH = ("backbone", "traced")
Length = Annotated[StrictInt, Field(ge=1, le=1 << 24)]


class TracedModule(TracedFamily):
    """A module of Python's, traced: plans say it of what `specc.compile(spec, backbone=...)` was given.

    Such a plan runs by `runtime.Session(plan, module=module)` or `runtime.wrap`, which look whether it is that module.
    """

    traced: Text = Field(description="the class of the module that `specc.trace` was given")
    digest: Annotated[Text, Matching(r"[0-9a-f]+", "hexadecimal digits")] = Field(
        description="of what it does, call by call"
    )
    image: Annotated[tuple[Length, ...], Field(min_length=1, max_length=4)] = Field(
        description="shape of a sample of the example that it was traced with"
    )
    dtype: DType = Field("float32", description="number format of the example")
    leaf: Leaves = Field(default=())
    inputs: Inputs = Field(default=())
    fixed: tuple[Text, ...] = Field(
        (), exclude_if=lambda names: not names, description="parts whose parameters ask for no gradient in the module"
    )

    held: tuple[Text, ...] = Field(
        (), exclude_if=lambda names: not names, description="parameters that ask for none, of parts that have others"
    )

    alternatives: ClassVar[tuple[str, ...]] = ("traced",)
    texts = True

    @field_validator("inputs", mode="before")
    @classmethod
    def _inputs(cls, value: Any) -> Any:
        return parts_in(value)

    @field_validator("image", "leaf", "fixed", "held", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    def source(self, input: Shape, classes: int, vocabulary: int = 0) -> Source:
        """What it is known by."""
        return Source(
            "traced",
            self.traced,
            self.image,
            0,
            "{}",
            self.leaf,
            self.digest,
            self.dtype,
            parts=self.inputs,
            held=self.held,
        )

    def expand(self, input: Shape, classes: int, vocabulary: int = 0) -> BackboneGraph:
        """The graph, where there is one in this process or in the cache."""
        dtype = dtype_of_samples(input, self.inputs)
        if dtype != self.dtype:
            kinds = {"float32": "numbers of images", "int64": "whole numbers, the tokens of a text"}
            text = f"`{self.traced}` was traced for {kinds[self.dtype]}, and the task is one of {kinds[dtype]}"
            way = ("`task: text_classification` learns of tokens, other tasks of images",)
            raise BackboneError(Problem("SPC301", text, PATH, "reads other numbers", way))
        if input != self.image:
            text = f"`{self.traced}` was traced for {show(self.image)}, and the data set's samples are {show(input)}"
            help = ("trace it with an example of the shape that it is trained with",
                    "or leave `data.dataset` out, which then is of the example's shape")  # fmt: skip
            raise BackboneError(Problem("SPC301", text, PATH, "reads another shape", help))
        return with_frozen(super().expand(input, classes, vocabulary), {*self.fixed})


def described(backbone: Backbone) -> Config:
    """What a plan says of a traced module."""
    known = backbone.source
    return TracedModule(
        traced=known.name, digest=known.digest, image=known.image, dtype=known.dtype, leaf=known.leaves,
        inputs=known.parts, fixed=backbone.fixed, held=known.held,
    )  # fmt: skip
