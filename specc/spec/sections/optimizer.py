"""What every optimizer says of itself: how torch makes it, what it keeps, what a step takes for a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...graph.graph import Graph
from ...language.schema import Config, NonNegative, Positive, Probability, problem

Shape = tuple[int, ...]
Betas = Annotated[list[Probability], Field(min_length=2, max_length=2)]
Made = tuple[str, int]  # a name and the bytes of the tensor that it stands for from now on; 0: of none

LR = "learning rate at the schedule's top"
EPS = "added to the denominator"
DECAY = "added to the gradient, as a share of the parameter"
DECOUPLED = "share of the parameter that a step takes off at a learning rate of 1"
AVERAGES = ("exp_avg", "exp_avg_sq")
BETAS = "decay of the averages of the gradient and of its square"


class Optimizer(Config):
    """An optimizer; its fields are what its torch class is given."""

    name: str
    lr: Positive

    torch: ClassVar[str]  # where its class is: `torch.optim:SGD`
    fused: ClassVar[bool] = True  # whether it has one kernel a group, which takes no copy of the parameters
    fixed: ClassVar[Mapping[str, Any]] = {}  # further arguments, about which a spec says nothing
    scheduled: ClassVar[bool] = True  # whether it reads its learning rate again in every step
    whole: ClassVar[tuple[str, ...]] = ()  # what it keeps for every parameter, as large as that, by torch's names
    single: ClassVar[tuple[str, ...]] = ()  # ... and as single numbers
    aliases: ClassVar[dict[str, str]] = {"learning_rate": "lr", "wd": "weight_decay", "epsilon": "eps"}
    alternatives: ClassVar[tuple[str, ...]] = ("name",)

    def arguments(self) -> dict[str, Any]:
        """What the torch class is given beside the parameters."""
        given: dict[str, Any] = self.model_dump(exclude={"name", *_OF_GROUPS})
        return given | {"fused": True} if self.fused else {**given, **self.fixed}

    def state_bytes(self, parameters: Collection[Shape]) -> int:
        """What it keeps between steps for parameters of these shapes."""
        return 4 * sum(map(numbers, (self.slots(shape).values() for shape in parameters)))

    def slots(self, shape: Shape) -> dict[str, Shape]:
        """What it keeps between steps for a parameter, by torch's names."""
        return dict.fromkeys(self.kept, shape) | dict.fromkeys(self.single, ())

    @property
    def kept(self) -> tuple[str, ...]:
        """What it keeps that is as large as the parameter, with these arguments."""
        return self.whole

    def step_bytes(self, parameters: Collection[Shape]) -> int:
        """The most that a step takes on top and gives back, if it is not fused: parameter after parameter."""
        alive: dict[str, int] = {}
        total = most = 0
        for shape in parameters:
            for name, size in self.made(shape):
                most = max(most, total + size)
                total += size - alive.get(name, 0)
                alive[name] = size
        return most

    def made(self, shape: Shape) -> Iterable[Made]:
        """The tensors that a step makes for one parameter, in the order of torch's loop.

        A name stands for its tensor until the loop gives it another one, which is made while the old one is there:
        also that of the parameter before.
        """
        return ()

    def passing(self, graphs: Collection[Graph]) -> int:
        """The most that a step of a group of parameters takes on top and gives back."""
        if self.fused:
            return 0
        return max((group.step_bytes(shapes) for group, shapes in self.groups(graphs)), default=0)

    def groups(self, graphs: Iterable[Graph]) -> list[tuple[Optimizer, list[Shape]]]:
        """The parameters that are stepped together, and with which arguments."""
        return [(self, [shape for graph in graphs for shape in graph.trained.values()])]


_OF_GROUPS = ("weight_decay_exclude",)  # decides which parameters an argument is for, and is none itself


class Decaying(Optimizer):
    """An optimizer with weight decay."""

    weight_decay: NonNegative
    weight_decay_exclude: list[Literal["norms", "biases", "embeddings", "scales"]] = Field(
        [],
        description="parameters that do not decay: `norms`, weights and biases of normalizations; `biases`, those of "
        "all other ops; `embeddings`, of tokens and positions; `scales`, factors on channels or branches",
    )

    aliases: ClassVar[dict[str, str]] = {**Optimizer.aliases, "no_decay": "weight_decay_exclude"}

    @model_validator(mode="after")
    def _decays(self) -> Self:
        if self.weight_decay_exclude and self.weight_decay == 0:
            message = "`weight_decay_exclude` has no effect: nothing decays"
            help = "give a `weight_decay` above zero, or leave `weight_decay_exclude` out"
            raise problem("SPC614", message, key="weight_decay_exclude", beside="weight_decay", help=help)
        return self

    def without_decay(self) -> Self:
        """The same for parameters that do not decay."""
        return self.model_copy(update={"weight_decay": 0.0, "weight_decay_exclude": []})

    def groups(self, graphs: Iterable[Graph]) -> list[tuple[Optimizer, list[Shape]]]:
        decaying: list[Shape] = []
        excluded: list[Shape] = []
        for node in (node for graph in graphs for node in graph.nodes):
            for name, shape in node.trained.items():
                out = node.op.kind_of(name) in self.weight_decay_exclude
                (excluded if out else decaying).append(shape)
        return [group for group in ((self, decaying), (self.without_decay(), excluded)) if group[1]]


class Looped(Optimizer):
    """One of torch's that steps parameter after parameter: the least memory, where there is no fused kernel."""

    fused: ClassVar[bool] = False
    fixed: ClassVar[Mapping[str, Any]] = {"foreach": False}


def numbers(parameters: Collection[Shape]) -> int:
    """How many numbers are trained."""
    return sum(map(prod, parameters))


def whole(shape: Shape) -> int:
    """Bytes of a tensor as large as the parameter."""
    return 4 * prod(shape)
