"""The machine of torch's tensors: what a step asks for (see `specc.step.machine`), computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from specc.graph.layout import Layout
from specc.graph.ops import on_grid
from specc.learning.heads.patches import Cell
from specc.plan import HeadPlan, LinkPlan, Load, Plan, Receive
from specc.plan.offloading import AVERAGES, PARAMETERS
from specc.step.machine import Wanted
from specc.tasks.registry import TASKS
from specc.tasks.task import Task

from .borrowed import flattened
from .label_views import label_views, select, without_label
from .losses import loss_function
from .model import Model
from .sharding import let_go, own_part
from .wire import Wire

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchMachine:
    """Runs on the tensors of a model; `scale` is what a loss goes through before its backward (mixed precision)."""

    def __init__(
        self, plan: Plan, model: Model, step: Callable[[str], None], scale: Callable[[Tensor], Tensor],
        wire: Wire | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.model, self._step, self._scale = plan, model, step, scale
        dtype = next(iter(model.parameters.values())).dtype
        self.mean_of_images, self.std_of_images = (
            torch.tensor(v, dtype=dtype, device=model.device).view(plan.data.along)
            for v in (plan.data.mean, plan.data.std)
        )
        self.classes = plan.data.classes
        self.view_count = plan.config.views
        self.labelled = self.view_count > 1
        self._wire, self.offload = wire, model.offload

    def cast(self) -> AbstractContextManager[None]:
        dtype = AUTOCAST.get(self.plan.config.train.precision)
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.mean_of_images.device.type, dtype=dtype, cache_enabled=False)

    def rows(self, x: Tensor) -> int:
        return len(x)

    def slices(self, batch: Tensor, rows: Sequence[int]) -> Sequence[Tensor]:
        return [batch] if len(rows) == 1 else batch.split(list(rows))

    def views(self, images: Tensor, labels: Tensor, first: int = 0) -> Tensor:
        if not self.labelled:
            return images
        return label_views(images, labels, self.classes, self.mean_of_images, self.std_of_images, first)

    def unlabelled(self, images: Tensor) -> Tensor:
        if not self.labelled:
            return images
        return without_label(images, self.classes, self.mean_of_images, self.std_of_images)

    def target(self, head: HeadPlan, given: Tensor) -> Tensor:
        if head.target == "images":  # pixels are in 0..1; rounding leaves some a little outside, which losses refuse
            restored = torch.addcmul(self.mean_of_images, given.detach(), self.std_of_images).clamp_(0, 1)
            return restored.view(len(restored), *on_grid(tuple(restored.shape[1:])))
        if head.target == "one_hot" and not given.is_floating_point():
            return F.one_hot(given, self.classes).to(self.mean_of_images.dtype)
        return given

    def detach(self, x: Tensor) -> Tensor:
        return x.detach()

    def leaf(self, x: Tensor) -> Tensor:
        return x.detach().requires_grad_()

    def gradient(self, leaf: Tensor) -> Tensor:
        assert leaf.grad is not None
        gradient, leaf.grad = leaf.grad, None
        return gradient

    def run(self, network: str, x: Tensor, images: Tensor | None = None, *, variant: int = 0, record: bool = True,
            track: bool = True) -> Tensor:  # fmt: skip
        module = self.model.networks[network]
        if not track:
            module.variant(variant).track(False)
        with torch.set_grad_enabled(record), self.cast():
            out: Tensor = module(x, images, variant)
        if not track:
            module.variant(variant).track(True)
        if not record:
            let_go(module)
        return out

    def block(
        self, name: str, x: Tensor, images: Tensor | None, skips: Sequence[Tensor], *, record: bool
    ) -> Sequence[Tensor]:
        module = self.model.networks[name]
        with torch.set_grad_enabled(record), self.cast():
            out: Tensor | tuple[Tensor, ...] = module(x, images, 0, skips)
        if not record:
            let_go(module)
        return out if isinstance(out, tuple) else (out,)

    def averaged(self, link: LinkPlan, x: Tensor, images: Tensor | None) -> Tensor:
        assert link.bias is not None
        ema, bias = self.model.networks[link.ema], self.model.networks[link.bias]
        pairs = zip(ema.named_parameters(), bias.parameters(), strict=True)
        with self.cast():
            sums = {name: average + offset for (name, average), offset in pairs}
            out: Tensor = torch.func.functional_call(ema, sums, (x, images))
        return out

    def scaled(self, link: LinkPlan, branch: Tensor, average: Tensor) -> Tensor:
        assert link.scale is not None
        s = self.model.scales[link.scale]
        with self.cast():
            return s * branch + (2 - s) * average

    def plus(self, a: Tensor, b: Tensor) -> Tensor:
        with self.cast():
            return a + b

    def add(self, total: Tensor, x: Tensor) -> None:
        total.add_(x)

    def divide(self, x: Tensor, by: float) -> Tensor:
        return x / by

    def shrink(self, x: Tensor, by: float) -> None:
        x.div_(by)

    def mean(self, tensors: Sequence[Tensor]) -> Tensor:
        with self.cast():
            return torch.stack(list(tensors)).mean(0)

    def backward(
        self, roots: Sequence[tuple[Tensor, Tensor]], *, retain: bool = False, only: Wanted[Tensor] | None = None
    ) -> None:
        inputs = None
        if only is not None:
            inputs = [*(each for group in only.groups for each in self.model.used(group)), *only.leaves] or None
        tensors = [tensor for tensor, _ in roots]
        gradients = [gradient.to(tensor.dtype) for tensor, gradient in roots]
        torch.autograd.backward(tensors, gradients, retain_graph=retain, inputs=inputs)

    def zero(self, like: Tensor) -> Tensor:
        return torch.zeros((), dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)

    def loss(self, head: HeadPlan, out: Tensor, target: Tensor) -> Tensor:
        return loss_function(head.loss, head.smoothing)(select(out, head.target, len(target)), target)

    def total(self, losses: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(losses)).sum()

    def backward_loss(self, loss: Tensor, weight: float) -> None:
        self._scale(loss * weight).backward()

    def size(self, x: Tensor, tokens: Layout | None) -> Sequence[int]:
        return tokens.size if tokens else x.shape[-2:]

    def patches(self, x: Tensor, tokens: Layout | None, cells: Sequence[Cell]) -> list[Tensor]:
        if tokens is not None:
            x = x[:, tokens.skip :].transpose(1, 2).unflatten(2, tokens.size)
        return [x[..., top:bottom, left:right] for top, bottom, left, right in cells]

    def copy(self, x: Tensor) -> Tensor:
        return x.clone(memory_format=torch.contiguous_format)

    def place(self, x: Tensor, *, cleared: bool) -> Tensor:
        return torch.zeros_like(x) if cleared else torch.empty_like(x)

    def write(self, part: Tensor, x: Tensor) -> None:
        part.copy_(x)

    def step(self, group: str) -> None:
        if self._wire is not None:
            self._wire.await_sums(group)
        if self.offload is None:
            self._step(group)
        else:
            self.offload.behind(PARAMETERS + group, lambda: self._step(group))

    def average(self, link: LinkPlan) -> None:
        if self.offload is None or link.ema not in self.model.held.networks:
            self.model.update_averages(link)
        else:
            self.model.update_averages(link, hosted=False)
            unit = next(unit.name for unit in self.plan.units if link in unit.links)
            self.offload.behind(AVERAGES + unit, lambda: self.model.update_averages(link, hosted=True))

    def load(self, what: Load) -> None:
        assert self.offload is not None
        self.offload.load(what.state, what.then)

    def evict(self, state: str) -> None:
        assert self.offload is not None
        if self._wire is not None and state.startswith(PARAMETERS):
            self._wire.await_sums(state.removeprefix(PARAMETERS))
        self.offload.evict(state)

    def here(self, *states: str) -> AbstractContextManager[None]:
        """For as long as this lasts parameters are on the device, of whatever lives elsewhere."""
        return nullcontext() if self.offload is None else self.offload.here(states)

    def abandon(self) -> None:
        """After an error a step is not gone on with."""
        if self.offload is not None:
            self.offload.abandon()

    @property
    def wire(self) -> Wire:
        """To the other devices, of which there are some."""
        assert self._wire is not None
        return self._wire

    def reduce(self, group: str) -> None:
        self.wire.reduce(group, self.model.group(group))

    def send(self, x: Tensor, to: int, *, channels_last: bool) -> None:
        order = torch.channels_last if channels_last else torch.contiguous_format
        self.wire.send(x.detach().contiguous(memory_format=order), to)

    def receive(self, value: Receive, rows: int) -> Tensor:
        return self._received(value, rows, self.plan.config.learns)

    def receive_judged(self, value: Receive, rows: int) -> Tensor:
        """As `receive`, of samples that are told and not learnt: what is right for them is never a mixture."""
        task = TASKS[self.plan.config.task]
        shape = task.target.shape(self.plan.data) if value.what == "labels" else value.shape
        return self._received(replace(value, shape=shape), rows, task)

    def _received(self, value: Receive, rows: int, task: Task) -> Tensor:
        like = self.mean_of_images
        of = {"labels": getattr(torch, task.target.dtype), "images": getattr(torch, task.input.dtype)}
        dtype = of.get(value.what) or (like.dtype if value.width == 4 else AUTOCAST[self.plan.config.train.precision])
        if value.what == "images" and dtype.is_floating_point:
            dtype = like.dtype
        order = torch.channels_last if value.channels_last else torch.contiguous_format
        empty = torch.empty((rows, *value.shape), dtype=dtype, device=like.device, memory_format=order)
        return self.wire.receive(empty, value.source)

    def send_sources(self, unit: str, tensors: Sequence[str], to: int) -> None:
        own = self.model.tensors()
        self.wire.send(flattened([own_part(own[name]) for name in tensors]).to(self.model.device), to, "sources")

    def receive_sources(self, unit: str, tensors: Sequence[str], source: int) -> None:
        self.wire.borrow(unit, self.model.borrowed[unit].message, source)

    def settle(self) -> None:
        if self._wire is not None:
            self._wire.settle()
        if self.offload is not None:
            self.offload.settle()

    def first(self, x: Tensor, rows: int) -> Tensor:
        return x if len(x) == rows else x[:rows]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts))
