"""A spec as a validated model; every field's description is its documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from ..graph.families import Backbone
from ..language.schema import Config, Matching, Text, problem
from ..learning.heads import Classifier
from .sections.auxiliary import Auxiliary, merge
from .sections.budget import Budget
from .sections.data import Data
from .sections.levels import Level
from .sections.links import EmaLink
from .sections.split import Split
from .sections.train import Train

SpecName = Annotated[
    Text, Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, `_`, `.` and `-`, starting with a letter or digit")
]


class SpecModel(Config):
    """A spec: one network, how it is cut and trained, and what it may cost."""

    specc: Literal[1] = Field(description="version of the language")
    name: SpecName = Field(description="names the run directory")
    extends: Text = Field(
        "", exclude=True, description="the spec file, relative to this one, that this one is merged over"
    )
    description: Text = Field("", description="for people")
    data: Data = Field(Data(), description="which images to train on")
    backbone: Backbone = Field(description="the network")
    split: Split = Field(Split(blocks=1), description="where the backbone is cut")
    auxiliary: Auxiliary = Field(
        Auxiliary(classifier=Classifier()),
        description="the heads of every unit; where the key is left out, one `classifier`; `{}`: no heads at all",
    )
    levels: Annotated[list[Level], Field(min_length=1)] = Field([Level(name="independent")], description="window sizes")
    ema_links: list[EmaLink] = Field([], description="EMA copies of later layers in the auxiliary networks (MAN)")
    train: Train = Field(Train(), description="how to train")
    budget: Budget | None = Field(None, description="the most memory one step may take")

    aliases: ClassVar[dict[str, str]] = {
        "model": "backbone", "network": "backbone", "dataset": "data", "splits": "split", "aux": "auxiliary",
        "ema": "ema_links", "links": "ema_links", "training": "train", "memory": "budget", "version": "specc",
        "base": "extends", "parent": "extends", "inherits": "extends", "include": "extends",
    }  # fmt: skip

    @field_validator("extends")
    @classmethod
    def _read_by_now(cls, value: str) -> str:
        """Files are merged before they are validated; whatever says `extends` after that is no file."""
        help = "write it into a file, and give that"
        raise problem("SPC029", "only a file can extend another one", label="not in a file", help=help)

    def changed(self, section: str, **values: Any) -> SpecModel:
        """The configuration with some keys of one section changed."""
        return self.model_copy(update={section: getattr(self, section).model_copy(update=values)})

    @property
    def views(self) -> int:
        """How often a step sees every image: three times where Forward-Forward writes labels into it, else once."""
        return 3 if any(a.goodness and a.goodness.negatives == "images" for a in self._auxiliaries()) else 1

    @property
    def rows(self) -> int:
        """Images that go through the network together."""
        return self.data.batch_size * self.views

    def _auxiliaries(self) -> Iterator[Auxiliary]:
        """The auxiliary networks of the levels, and of units that have their own."""
        for level in self.levels:
            yield merge(self.auxiliary, level.auxiliary)
            yield from (merge(self.auxiliary, level.auxiliary, own.auxiliary) for own in level.units if own.auxiliary)
