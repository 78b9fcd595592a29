"""`devices`: how many devices a run is spread over, and along which axes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt, model_validator

from ...language.schema import Bool, Config, Text, problem

MOST_RANKS = 65_536
Ranks = Annotated[StrictInt, Field(ge=1, le=MOST_RANKS)]


class Devices(Config):
    """Over how many devices a run is spread: copies of the network, each of them in so many stages."""

    data_parallel: Ranks = Field(
        1, description="copies of the network; each takes its part of every batch, and gradients are summed over all"
    )
    block_parallel: Ranks = Field(
        1, description="stages: successive blocks on devices of their own; features move forward, gradients never back"
    )
    after: list[Text] | None = Field(
        None, description="names of the last layers of all stages but the last; by default stages take the same time"
    )
    mode: Literal["synchronous", "decoupled"] = Field(
        "synchronous",
        description="stages: `synchronous`, every number is that of one device; `decoupled`, no stage waits for a "
        "later one, so that averaged links are of weights that are some steps old: another algorithm",
    )
    staleness: Annotated[StrictInt, Field(ge=1, le=1_024)] = Field(
        2, description="how many steps a decoupled stage may be ahead of the next one"
    )
    shard: Bool = Field(
        False,
        description="copies: keep of every block's parameters, gradients and optimizer state a part on each device, "
        "and gather them for the block's own turn",
    )
    sync_batch_norm: Bool = Field(
        True, description="copies: normalise by the statistics of the whole batch, as one device would"
    )

    aliases: ClassVar[dict[str, str]] = {
        "dp": "data_parallel", "replicas": "data_parallel", "bp": "block_parallel", "stages": "block_parallel",
        "pipeline": "block_parallel", "fsdp": "shard", "sync_bn": "sync_batch_norm",
    }  # fmt: skip

    @model_validator(mode="after")
    def _together(self) -> Devices:
        if self.after is not None and len(self.after) != self.block_parallel - 1:
            message = f"{len(self.after)} names cut {len(self.after) + 1} stages, and there are {self.block_parallel}"
            raise problem("SPC104", message, key="after", beside="block_parallel", label="another number of stages")
        if self.count > MOST_RANKS:
            message = f"{self.count} devices are more than {MOST_RANKS}"
            raise problem("SPC104", message, key="block_parallel", beside="data_parallel", label="too many")
        return self

    @property
    def count(self) -> int:
        """Of all devices."""
        return self.data_parallel * self.block_parallel
