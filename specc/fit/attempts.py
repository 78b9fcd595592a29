"""Configurations as they were compiled, each once: what a search shows is never anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..compiler.draft import Draft
from ..compiler.variants import Prediction, predict
from ..profiles import Profile
from ..spec.models import SpecModel
from ..spec.sections.split import Split
from .recomputation import Recomputation
from .roles import Roles

FEW_LAYERS, MANY_LAYERS = 16, 500
REACH = 0.4  # of a peak with each layer computed again by itself: groups of them never came to less


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration with its cuts, and what became of it."""

    config: SpecModel
    found: Prediction

    @property
    def after(self) -> tuple[str, ...]:
        """The layers after which it is cut."""
        return tuple(self.config.split.after or ())

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self.after) + 1

    @property
    def peak(self) -> int:
        """Bytes."""
        return self.found.peak

    @property
    def seconds(self) -> float | None:
        """Of a step; None where no device is known."""
        return self.found.seconds

    @property
    def images_per_second(self) -> float | None:
        """How many images are learnt from."""
        return None if self.seconds is None else self.config.data.batch_size / self.seconds

    @property
    def cost(self) -> float:
        """What is to be as small as can be, an image: seconds, or where no device is known FLOPs."""
        return float(self.found.flops) if self.seconds is None else self.seconds / self.config.data.batch_size


class Attempts:
    """Compiles what a search comes upon."""

    def __init__(self, draft: Draft, profile: Profile | None = None) -> None:
        self.draft, self.profile = draft, profile
        self._found: dict[str, Prediction | None] = {}
        self._known: dict[str, Candidate | None] = {}
        self._least: dict[str, Recomputation] = {}

    def __call__(self, config: SpecModel) -> Candidate | None:
        """The configuration compiled; None where it has errors."""
        key = config.model_dump_json()
        if key not in self._known:
            found = self._predicted(config)
            self._known[key] = None if found is None else Candidate(config, found)
        return self._known[key]

    @property
    def all(self) -> list[Candidate]:
        """Whatever could be compiled."""
        return [found for found in self._known.values() if found is not None]

    def _predicted(self, config: SpecModel) -> Prediction | None:
        """What it takes, which a budget has no part in."""
        key = _without_budget(config)
        if key not in self._found:
            self._found[key] = predict(self.draft, config, self.profile)
        return self._found[key]

    def recomputed(self, config: SpecModel, budget: int) -> Iterator[Candidate]:
        """With everything computed again, and where that shows that less will do, with the least that fits."""
        everything = self(config.changed("train", recompute=True))
        if everything is not None and REACH * everything.peak <= budget and self.chooses(config):
            least = self._recomputation(config).under(budget)
            if least is not None and (found := self(least.config)) is not None:
                yield found
        if everything is not None:
            yield everything

    def chooses(self, config: SpecModel) -> bool:
        """Whether the least recomputation is looked for, as it is soon found: overlapping windows make it long."""
        layers, slices = len(self.draft.graph.layers), config.train.micro_batches
        alone = not config.split.after or (slices == 1 and Roles(config).window == 1)
        return layers <= FEW_LAYERS or (alone and layers * slices <= MANY_LAYERS)

    def _recomputation(self, config: SpecModel) -> Recomputation:
        key = _without_budget(config)
        if key not in self._least:
            self._least[key] = Recomputation(self.draft, config)
        return self._least[key]


def _without_budget(config: SpecModel) -> str:
    return config.model_copy(update={"budget": None}).model_dump_json()


def cut(config: SpecModel, after: tuple[str, ...]) -> SpecModel:
    """The configuration with these cuts."""
    split = Split(after=list(after)) if after else Split(blocks=1)
    return config.model_copy(update={"split": split})
