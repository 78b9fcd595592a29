"""What there is to export: a network out of a run's checkpoint, and what its outputs are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from specc.plan import HeadPlan, Plan, Unit
from specc.tasks.registry import TASKS

from ..engine.predictor import Predictor, joined
from ..engine.session import Session
from ..errors import RunError


@dataclass(frozen=True)
class Trained:
    """A predicting network with its tensors; `facts` go into the file."""

    session: Session
    unit: Unit | None
    facts: dict[str, str]

    @property
    def plan(self) -> Plan:
        """The plan it was trained by."""
        return self.session.plan

    @property
    def name(self) -> str:
        """What is exported."""
        return self.unit.name if self.unit else "backbone"

    @cached_property
    def predictor(self) -> Predictor:
        """The network as one module, on a CPU."""
        return Predictor(self.session.model, self.unit)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its parameters and buffers by canonical name, in the order of the network."""
        own = self.session.model.tensors()
        return {name: own[name].detach().contiguous() for name in self._names()}

    @property
    def head(self) -> HeadPlan:
        """The classifier at which an early exit ends."""
        assert self.unit is not None
        return self.unit.telling[0]

    def _names(self) -> Iterator[str]:
        plan, unit = self.plan, self.unit
        blocks = plan.blocks if unit is None else plan.blocks[: unit.end + 1]
        head = unit.telling[0] if unit else None
        links = unit.links if unit else ()
        branches = [name for link in links for name in (link.ema, link.bias) if name]
        for name in dict.fromkeys([*(block.name for block in blocks), *branches, *(head.networks if head else ())]):
            network = plan.networks[name]
            for node in network.graph.nodes:
                yield from (f"{network.prefix}{node.name}.{tensor}" for tensor in (*node.parameters, *node.buffers))
        yield from (link.scale for link in links if link.scale)

    def batches(self) -> Iterator[Tensor]:
        """Normalised images to compare on: noise of the brightness of photographs, of two sizes of batch; or tokens."""
        generator, data = torch.Generator().manual_seed(0), self.plan.data
        if data.vocabulary:
            yield from (torch.randint(data.vocabulary, (size, *data.shape), generator=generator) for size in (3, 1))
            return
        mean, std = (torch.tensor(values).view(data.along) for values in (data.mean, data.std))
        for size in (3, 1):
            yield (torch.rand(size, *data.shape, generator=generator) - mean) / std

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """What the run itself makes of normalised images: as it evaluates its network, or the classifier of a unit."""
        if self.unit is None:
            return self.session.predict(images)
        target = TASKS[self.plan.config.task].target
        labels = torch.zeros(len(images), *target.shape(self.plan.data), dtype=getattr(torch, target.dtype))
        said = self.session.answers(images, labels)
        return joined(
            [answer.output for answer in said if answer.unit == self.unit and answer.head == self.head], self.head
        )


def in_full_precision(plan: Plan) -> Plan:
    """The plan for computing in fp32: what is exported casts nothing."""
    return replace(plan, config=plan.config.changed("train", precision="fp32"))


def unit_of(plan: Plan, wanted: str) -> Unit:
    """The unit of a name, or the one that ends with the block of a number; it has to have a classifier."""
    found = [unit for unit in plan.units if wanted in (unit.name, str(unit.end))]
    exits = [unit for unit in found if unit.telling]
    if len(exits) == 1:
        return exits[0]
    if found and not exits:
        raise RunError(
            f"the unit `{found[0].name}` has no classifier of its own, so nothing can leave there", _all(plan)
        )
    if found:
        names = " and ".join(f"`{unit.name}`" for unit in exits)
        raise RunError(f"more than one unit with a classifier ends with block {wanted}: {names}", ("give its name",))
    raise RunError(f"the run has no unit `{wanted:.60}`", _all(plan))


def _all(plan: Plan) -> tuple[str, ...]:
    names = ", ".join(unit.name for unit in plan.units if unit.telling)
    return (f"units with a classifier: {names}" if names else "no unit of this run has a classifier",)
