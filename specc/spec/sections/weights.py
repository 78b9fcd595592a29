"""`weights`: what the backbone begins with."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from ...language.schema import Bool, Config, Matching, Text, problem

Digest = Annotated[Text, Matching(r"[0-9a-f]{64}", "64 hexadecimal digits")]


class Weights(Config):
    """Numbers that the backbone begins with; auxiliary networks start anew, and a run that is resumed loads nothing."""

    file: Text | None = Field(
        None,
        description="a safetensors file, the index of several (`model.safetensors.index.json`), or a `.pth` of "
        "torch's, as seen from the file that names it",
    )
    torchvision: Text | None = Field(
        None, description="torchvision's weights of the model, `IMAGENET1K_V2` or `DEFAULT`, out of torch's local cache"
    )
    timm: Text | None = Field(
        None, description="the tag of timm's weights of the model, `a1_in1k`, out of Hugging Face's local cache"
    )
    strict: Bool = Field(
        True, description="every tensor of the backbone is in the file, as large, and no other; `false`: what does not "
        "match is listed, and begins anew"
    )  # fmt: skip
    prefix: str = Field("", description="what all names in the file begin with before the network's own: `module.`")
    sha256: Digest | None = Field(
        None, description="of the file, or of all that an index names; plans say it, and a spec may ask for it"
    )

    aliases: ClassVar[dict[str, str]] = {"path": "file", "checkpoint": "file", "hash": "sha256", "digest": "sha256"}
    alternatives: ClassVar[tuple[str, ...]] = ("file", "torchvision", "timm")

    @model_validator(mode="after")
    def _one_of(self) -> Weights:
        given = [key for key in self.alternatives if getattr(self, key) is not None]
        if len(given) > 1:
            message = f"`{given[0]}` and `{given[1]}` exclude each other"
            raise problem("SPC107", message, key=given[1], beside=given[0], label="delete one of the two")
        if not given:
            raise problem("SPC107", "give `file`, `torchvision` or `timm`", label="names no weights")
        return self
