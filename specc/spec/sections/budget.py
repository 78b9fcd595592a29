"""`budget`: the most device memory that one step may take."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Bytes, Config


class Budget(Config):
    """The most device memory that one training step may take."""

    memory: Bytes = Field(description="bytes, or a number and a unit: `6 GiB`, `512 MB`")
    on_exceed: Literal["error", "warn"] = Field("error", description="what a predicted or measured peak over it is")

    aliases: ClassVar[dict[str, str]] = {"limit": "memory", "size": "memory", "gpu_memory": "memory"}
