"""A plan brought to life on one device: train a step, predict, and know every tensor by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from specc.diagnostics.notices import notice
from specc.plan import Plan
from specc.plan import Step as StepInstruction
from specc.spec.sections.train import NO_GRAPH

from . import host
from .clipping import clip
from .compiling import compile_networks
from .executor import Answer, Executor, total_loss
from .graphs import CudaGraphs, Graphed
from .inputs import Inputs, as_tensor, check_exact, check_labels
from .machine import TorchMachine
from .model import Model
from .optimizers import make_optimizer
from .weight_average import WeightAverage
from .wire import Wire


@dataclass(frozen=True, slots=True)
class Step:
    """What one training step said; tensors are detached and stay on the device."""

    losses: dict[str, dict[str, Tensor]]  # unit -> term -> unweighted loss
    total: dict[str, Tensor]  # unit -> what it minimises
    logits: Tensor | None = None  # (N, classes) of the training forward; None on a stage that does not end the network
    labels: Tensor | None = None  # what is right, where there are logits


class Session:
    """Executes a plan. `dtype` is that of parameters and inputs; `plan.config.train.precision` adds autocast.

    With a `module`, which the backbone was traced from, that module's own parameters are trained, in place.
    Without `load` the plan's `weights` are not read: the numbers come from elsewhere.
    Without `initialise` the tensors hold whatever was in memory: for fake tensors, and before a checkpoint is loaded.
    """

    def __init__(
        self,
        plan: Plan,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        initialise: bool = True,
        wire: Wire | None = None,
        module: nn.Module | None = None,
        load: bool = True,
    ) -> None:
        check_exact(plan, dtype)
        self.plan = plan
        self.device = torch.device(device)
        self.dtype = dtype
        self.wire = wire
        seed = plan.config.train.seed if initialise else None
        self.model = Model(plan, self.device, dtype, wire.mesh if wire else None, seed, module, load=load)
        if wire is not None and wire.norms is not None:
            self.model.synchronise(wire.norms)
        scaled = plan.config.train.precision == "fp16"
        self.optimizers = {
            group: make_optimizer(plan.config.train.optimizer, self.model, group) for group in self._stepped_groups()
        }
        self._stepped = {
            group: [parameter for each in optimizer.param_groups for parameter in each["params"]]
            for group, optimizer in self.optimizers.items()
        }
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1024.0, enabled=scaled)
        if self.model.offload is not None:
            self.scaler.scale(torch.zeros(()))  # which has its number live where gradients are unscaled
        average = plan.config.train.weight_average
        self.average = WeightAverage(average, self.model) if average else None
        self.executor = Executor(plan, TorchMachine(plan, self.model, self._step_group, self.scaler.scale, wire))
        if plan.config.train.compile and initialise:
            compile_networks(self.model, self.device)
        self.graphed: Graphed | None = None
        if plan.config.train.graphs and initialise:
            self._capture()

    def _capture(self) -> None:
        """Have steps captured, where they can be; of what the compiler knows it has said why they cannot."""
        if self.device.type != "cuda":
            if self.plan.memory.device != self.device.type:
                notice(f"warning: `train.graphs` has no effect: {NO_GRAPH}")
        elif self.plan.layout is not None:
            notice("warning: `train.graphs` has no effect: what moves between devices is not captured")
        elif self.plan.config.train.not_captured is None:
            self.graphed = Graphed(self._computed, self.optimizers, CudaGraphs(self.device))

    def _stepped_groups(self) -> Iterator[str]:
        return (i.group for i in self.plan.instructions if isinstance(i, StepInstruction))

    def _step_group(self, group: str) -> None:
        optimizer, limit = self.optimizers[group], self.plan.config.train.clip
        if limit is not None:
            self.scaler.unscale_(optimizer)  # a limit is one of gradients, not of what fp16 makes of them
            clip(limit, self._stepped[group])
        self.scaler.step(optimizer)
        for parameter in self._stepped[group]:  # as `zero_grad` does, which has a profiler hear of it each time
            parameter.grad = None

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every parameter by its canonical name, averaged copies included."""
        return iter(self.model.parameters.items())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Every buffer by its canonical name."""
        return iter(self.model.buffers.items())

    def set_lr(self, lr: float) -> None:
        """The learning rate of all groups from the next step on."""
        self.tell({"lr": lr})

    def tell(self, values: Mapping[str, Any]) -> None:
        """What a schedule decides, such as the learning rate, for all groups from the next step on."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group.update(values)

    def train_step(
        self, images: Inputs | None, labels: Tensor | None, *, samples: int | None = None, update: bool = True
    ) -> Step:
        """One step on normalised (N, C, H, W) images and (N,) labels; without `update` gradients are left behind.

        A network that takes several inputs is given them as a tuple, or as a mapping of their names.

        With several devices these are this copy's part of a batch of `samples`; a later stage is given none.
        """
        batch = None if images is None else self._placed(images)
        if batch is not None and labels is not None:
            check_labels(self.plan, labels, len(batch))
        labels = None if labels is None else labels.to(self.device)
        if self.graphed is None or not update or batch is None or labels is None:
            step = self._computed(batch, labels, samples, update=update)
        else:
            step = self.graphed(batch, labels, watched=self.executor.observer is not None)
        if update:
            self.scaler.update()
            if self.average:
                self.average.update()
        return step

    def _computed(
        self, images: Tensor | None, labels: Tensor | None, samples: int | None = None, *, update: bool = True
    ) -> Step:
        told = self.executor.run(images, labels, samples=samples, update=update)
        losses = self.executor.losses
        total = {unit.name: total_loss(unit, losses[unit.name]) for unit in self.plan.units}
        return Step(losses, total) if told is None else Step(losses, total, told[0].detach(), told[1])

    @torch.no_grad()
    def predict(self, images: Inputs) -> Tensor:
        """Logits (N, classes) of the backbone in evaluation mode."""
        self.model.train(False)
        return self.executor.predict(self._placed(images))

    @torch.no_grad()
    def answers(
        self, images: Inputs | None, labels: Tensor | None, *, units: bool = True, samples: int | None = None
    ) -> Iterator[Answer]:
        """What the units' own classifiers say in evaluation mode, where they are asked, and last the network.

        With several devices these are this copy's part of so many samples; a later stage is given none.
        """
        self.model.train(False)
        if images is not None and labels is not None:
            images, labels = self._placed(images), labels.to(self.device)
            rows = len(images)
        else:
            assert images is None
            assert self.plan.layout is not None
            assert samples is not None
            rows = len(self.plan.layout.shown(samples))
        yield from self.executor.answers(images, labels, rows, units=units)

    def averaged(self) -> AbstractContextManager[None]:
        """For as long as this lasts the weights are their average, where the plan asks for one."""
        return self.average.applied() if self.average else nullcontext()

    def _placed(self, given: Inputs) -> Tensor:
        """The images where and how the model takes them; no copy where they are so already."""
        images = as_tensor(self.plan, given)
        dtype = self.dtype if images.is_floating_point() else images.dtype  # tokens stay what they are
        return images.to(self.device, dtype, memory_format=self.model.memory_format)

    def finish(self) -> None:
        """No step follows: stages that are ahead of others wait for them."""
        if self.wire is not None:
            self.wire.finish({unit: each.message for unit, each in self.model.borrowed.items()})

    def resident(self) -> list[Tensor]:
        """Tensors that live on the device through a step: parameters, buffers, optimizer state and averages."""
        states = (s for o in self.optimizers.values() for state in o.state.values() for s in state.values())
        average = self.average.tensors.values() if self.average else ()
        own = (*self.model.tensors().values(), *self.model.copied.values(), *average)
        kept = () if self.model.offload else (s for s in states if isinstance(s, Tensor))
        lent = (each.message for each in self.model.borrowed.values())
        on_their_way = self.wire.held if self.wire else ()
        return [*(tensor for tensor in own if not host.has(tensor)), *kept, *lent, *on_their_way]

    def resized(self) -> Iterator[list[nn.Parameter]]:
        """Tensors whose storages grow and shrink during a step, by what is resized together: gathered networks."""
        return (module.used for module in self.model.networks.values() if module.used)
