"""Networks of other libraries, and of a file of the user's own."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field, JsonValue, field_validator

from ...language.functions import of_a_file
from ...language.schema import Text
from ...system.own_code import digest_of, parameters_of
from ...system.trust import TRUST, trusted
from ...tasks.inputs import PartsIfAny, dtype_of_samples, parts_in
from ..graph import BackboneGraph
from ..ops import Shape
from ..ops.source import ASKED, Kind, Source
from ..problems import BackboneError, Problem
from ..traced import cache
from .traced_family import TracedFamily

Args = Annotated[dict[str, JsonValue], Field(description="further arguments of what builds the network, by name")]
Leaves = Annotated[
    tuple[Text, ...],
    Field(description="submodules that are one node each, by their paths: where the code in them cannot be followed"),
]

Inputs = Annotated[
    PartsIfAny,
    Field(description="what it reads, where a sample is several inputs: plans say it, as the data have them"),
]


class Foreign(TracedFamily):
    """A network that is built by a name and further arguments."""

    kind: ClassVar[Kind]

    args: Args = Field(default={})
    leaf: Leaves = Field(default=())
    inputs: Inputs = Field(default=())

    @field_validator("inputs", mode="before")
    @classmethod
    def _inputs(cls, value: Any) -> Any:
        return parts_in(value)

    @field_validator("leaf", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @property
    def named(self) -> str:
        """What is built."""
        found: str = getattr(self, self.kind)
        return found

    def source(self, input: Shape, classes: int, vocabulary: int = 0) -> Source:
        """What is traced for samples of shape `input`."""
        dtype = dtype_of_samples(input, self.inputs)
        args = json.dumps(self.args, sort_keys=True, allow_nan=False)
        return Source(
            self.kind, self.named, input, classes, args, self.leaf, self.digest, dtype, parts=self.inputs,
            vocabulary=vocabulary,
        )  # fmt: skip

    @property
    def file(self) -> str:
        """The file in which it is described; nothing where it is in none."""
        return ""

    @property
    def digest(self) -> str:
        """Of that file and of what it imports beside it; raises `BackboneError` where it cannot be read."""
        if not self.file:
            return ""
        try:
            return digest_of(self.file)
        except OSError as error:
            text = f"`{self.file}` cannot be read: {error.strerror or error}"
            raise BackboneError(Problem("SPC309", text, ("backbone", self.kind), "not there")) from None

    def placed(self, folder: str) -> Foreign:
        """The same, its file as seen from a folder."""
        if not self.file or os.path.isabs(self.file):
            return self
        return self.model_copy(update={self.kind: os.path.abspath(os.path.join(folder, self.named))})


class TimmModel(Foreign):
    """Any model of timm, untrained; its layers are called as its modules. It needs `specc[timm]`."""

    kind = "timm"
    timm: Text = Field(description="the model's name: `convnext_nano`, `vit_tiny_patch16_224`, ...")

    aliases: ClassVar[dict[str, str]] = {"model": "timm", "name": "timm", "arguments": "args", "leaves": "leaf"}
    alternatives: ClassVar[tuple[str, ...]] = ("timm",)


class TransformersModel(Foreign):
    """A model of transformers, of a configuration, untrained: one that classifies images, or texts where the task does.

    A text is told apart from its padding by the configuration's `pad_token_id`. It needs `specc[transformers]`.
    """

    kind = "transformers"
    texts = True
    transformers: Text = Field(
        description="the type of a model, `vit` or `bert`, or a `config.json` as seen from the spec; nothing is "
        "downloaded"
    )

    aliases: ClassVar[dict[str, str]] = {"hf": "transformers", "config": "transformers", "leaves": "leaf"}
    alternatives: ClassVar[tuple[str, ...]] = ("transformers",)

    @property
    def file(self) -> str:
        """The configuration, where it is a file."""
        return self.transformers if self.transformers.endswith(".json") else ""


class OwnModule(Foreign):
    """A network that a function of a Python file makes. It is run only with `--trust-code`, or `SPECC_TRUST_CODE=1`."""

    kind = "module"
    texts = True
    module: Text = Field(description="a file as seen from the spec, and a function or class in it: `nets.py:make_net`")

    aliases: ClassVar[dict[str, str]] = {"python": "module", "code": "module", "leaves": "leaf"}
    alternatives: ClassVar[tuple[str, ...]] = ("module",)

    @field_validator("module")
    @classmethod
    def _of_a_file(cls, value: str) -> str:
        return of_a_file(value)

    @property
    def file(self) -> str:
        """The file with the code."""
        return self.module.rpartition(":")[0]

    def source(self, input: Shape, classes: int, vocabulary: int = 0) -> Source:
        """What is traced: of code that does not ask how many classes there are it is one for any number of them."""
        source = super().source(input, classes, vocabulary)
        return source if self.asks else replace(source, classes=0)

    @property
    def asks(self) -> bool:
        """Whether its function may ask how many classes there are, as far as its file tells."""
        file, _, function = self.module.rpartition(":")
        parameters = parameters_of(file, function)
        return parameters is None or not parameters.isdisjoint(ASKED)

    def expand(self, input: Shape, classes: int, vocabulary: int = 0) -> BackboneGraph:
        """The graph, out of the cache or of code that may be run; raises `BackboneError` where it may not."""
        source = self.source(input, classes, vocabulary)
        if not trusted() and cache.load(cache.key(source)) is None:
            raise untrusted(source)
        return super().expand(input, classes, vocabulary)


def untrusted(source: Source) -> BackboneError:
    """Somebody has to say that this code may be run."""
    file, _, name = source.name.rpartition(":")
    text = f"the network is what `{name}` of {file} makes, and nobody said that this code may be run"
    help = ("read the file; then `--trust-code`, or " + TRUST + "=1, has it imported and called",)
    return BackboneError(Problem("SPC312", text, source.where, "would run code", help))
