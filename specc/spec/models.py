"""A spec as a validated model; every field's description is its documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, field_validator

from ..graph.families import Backbone, expanded
from ..graph.graph import BackboneGraph
from ..language.plugged import OneOf, Package
from ..language.schema import Config, Matching, Text, problem
from ..language.source import Path
from ..learning.heads import Classifier, Head
from ..tasks.datasets import ResolvedData
from ..tasks.registry import TASKS
from ..tasks.task import Task
from .sections.auxiliary import Auxiliary, merge
from .sections.data import Data
from .sections.devices import Devices
from .sections.levels import EmaLink, Level, UnitOverride
from .sections.split import Budget, Split
from .sections.train import StepOrder, Train
from .sections.weights import Weights

TaskName = Annotated[str, OneOf(TASKS)]
SpecName = Annotated[
    Text, Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, `_`, `.` and `-`, starting with a letter or digit")
]

Holder = TypeVar("Holder", "SpecModel", Level, UnitOverride)  # of an auxiliary network


class SpecModel(Config):
    """A spec: one network, how it is cut and trained, and what it may cost."""

    specc: Literal[1] = Field(description="version of the language")
    name: SpecName = Field(description="names the run directory")
    extends: Text = Field(
        "", exclude=True, description="the spec file, relative to this one, that this one is merged over"
    )
    description: Text = Field("", description="for people")
    task: TaskName = Field("classification", description="what is learnt; the data set has to know it of every image")
    requires: list[Package] = Field([], description="packages that the spec names something of: see extending.md")
    data: Data = Field(Data(), description="which images to train on")
    backbone: Backbone = Field(description="the network")
    weights: Text | Weights | None = Field(
        None,
        description="what the backbone begins with: a safetensors file as seen from the spec, or `pretrained`, what "
        "torchvision or timm publish of the model, out of the local cache; nothing is downloaded",
    )
    split: Split = Field(Split(blocks=1), description="where the backbone is cut")
    auxiliary: Auxiliary = Field(
        Auxiliary(classifier=Classifier()),
        description="the heads of every unit; where the key is left out, one `classifier`; `{}`: no heads at all",
    )
    levels: Annotated[list[Level], Field(min_length=1)] = Field([Level(name="independent")], description="window sizes")
    ema_links: list[EmaLink] = Field([], description="EMA copies of later layers in the auxiliary networks (MAN)")
    train: Train = Field(Train(), description="how to train")
    schedule: StepOrder = Field(StepOrder(), description="in which order a step's work is done")
    budget: Budget | None = Field(None, description="the most memory one step may take, on every device")
    devices: Devices = Field(Devices(), description="over how many devices the run is spread")

    aliases: ClassVar[dict[str, str]] = {
        "model": "backbone", "network": "backbone", "dataset": "data", "splits": "split", "aux": "auxiliary",
        "ema": "ema_links", "links": "ema_links", "training": "train", "memory": "budget", "version": "specc",
        "pretrained": "weights", "init_from": "weights",
        "base": "extends", "parent": "extends", "inherits": "extends", "include": "extends",
    }  # fmt: skip

    @field_validator("extends")
    @classmethod
    def _read_by_now(cls, value: str) -> str:
        """Files are merged before they are validated; whatever says `extends` after that is no file."""
        help = "write it into a file, and give that"
        raise problem("SPC029", "only a file can extend another one", label="not in a file", help=help)

    def network(self, data: ResolvedData) -> BackboneGraph:
        """The backbone's graph for samples of the data; raises `ShapeError` or `BackboneError`."""
        return expanded(self.backbone, data.shape, data.classes, data.vocabulary)

    @property
    def learns(self) -> Task:
        """The task as the step is given it."""
        task: Task = TASKS[self.task]
        return task.mixed() if self.data.mixings else task

    def changed(self, section: str, **values: Any) -> SpecModel:
        """The configuration with some keys of one section changed."""
        return self.model_copy(update={section: getattr(self, section).model_copy(update=values)})

    def with_heads(self, change: Callable[[Head], Head]) -> SpecModel:
        """The configuration with every head changed, wherever the spec speaks of one."""
        levels = [level.model_copy(update={"units": [_with_heads(unit, change) for unit in level.units]})
                  for level in self.levels]  # fmt: skip
        whole = self.model_copy(update={"levels": [_with_heads(level, change) for level in levels]})
        return _with_heads(whole, change)

    def heads(self) -> Iterator[tuple[Path, Head]]:
        """Every head that the spec speaks of, and where it does."""
        holders: list[tuple[Path, SpecModel | Level | UnitOverride]] = [((), self)]
        for i, level in enumerate(self.levels):
            at: Path = ("levels", i)
            holders += [(at, level), *(((*at, "units", j), unit) for j, unit in enumerate(level.units))]
        for at, holder in holders:
            heads = holder.auxiliary.heads() if holder.auxiliary else {}
            yield from (((*at, "auxiliary", key), head) for key, head in heads.items())

    @property
    def samples(self) -> str:
        """What many of its samples are called: images, texts."""
        return self.learns.samples

    @property
    def views(self) -> int:
        """How often a step sees every image: three times where Forward-Forward writes labels into it, else once."""
        return 3 if any(a.goodness and a.goodness.negatives == "images" for a in self._auxiliaries()) else 1

    @property
    def together(self) -> int:
        """Images that are evaluated together: a slice of a step's batch, as memory may be there for no more."""
        return -(-self.data.batch_size // self.train.micro_batches)

    @property
    def rows(self) -> int:
        """Images that go through the network together."""
        return self.data.batch_size * self.views

    def _auxiliaries(self) -> Iterator[Auxiliary]:
        """The auxiliary networks of the levels, and of units that have their own."""
        for level in self.levels:
            yield merge(self.auxiliary, level.auxiliary)
            yield from (merge(self.auxiliary, level.auxiliary, own.auxiliary) for own in level.units if own.auxiliary)


def _with_heads(holder: Holder, change: Callable[[Head], Head]) -> Holder:
    auxiliary = holder.auxiliary
    return holder if auxiliary is None else holder.model_copy(update={"auxiliary": auxiliary.with_heads(change)})
