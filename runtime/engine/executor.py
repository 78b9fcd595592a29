"""Interprets a plan's instructions: one method a kind, values in a dictionary, nothing decided here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from specc.plan import HeadPlan, Instruction, Plan, Unit, branch_cotangent, branch_output, cotangent, features, tape

from .heads import run_head
from .label_views import label_views, without_label
from .links import run_link
from .model import Model

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Executor:
    """Runs one training step at a time; `losses` holds what the heads of the last step said."""

    def __init__(
        self, plan: Plan, model: Model, step: Callable[[str], None], scale: Callable[[Tensor], Tensor]
    ) -> None:
        self.plan, self.model, self.step_group, self.scale = plan, model, step, scale
        self.observer: Callable[[Instruction], None] | None = None  # told of every instruction before it runs
        self.running: Instruction | None = None
        self.values: dict[str, Tensor] = {}
        self.losses: dict[str, dict[str, Tensor]] = {}
        self.heads = {(u.name, h.name): h for u in plan.units for h in u.heads}
        self.parameters = {block.name: model.group(block.name) for block in plan.blocks}
        tensor = next(iter(model.parameters.values()))
        self.mean, self.std = (
            torch.tensor(v, dtype=tensor.dtype, device=tensor.device).view(1, -1, 1, 1)
            for v in (plan.data.mean, plan.data.std)
        )
        self.classes = plan.data.classes
        self.labelled = plan.config.views > 1
        self._dispatch = {kind: getattr(self, f"_{kind}") for kind in {i.kind for i in plan.instructions}}

    def run(self, images: Tensor, labels: Tensor, *, update: bool = True) -> Tensor:
        """Execute the plan; returns the logits. With `update` off no parameter is stepped and gradients stay."""
        self.values = {features(-1): self.views(images, labels), "labels": labels}
        self.losses = {unit.name: {} for unit in self.plan.units}
        self.model.train(True)
        try:
            for instruction in self.plan.instructions:
                self.running = instruction
                if self.observer is not None:
                    self.observer(instruction)
                if update or instruction.kind != "step":
                    self._dispatch[instruction.kind](instruction)
            self.running = None  # after an error it stays
            return self.values[features(len(self.plan.blocks) - 1)][: len(labels)]
        finally:
            self.values = {}

    def views(self, images: Tensor, labels: Tensor) -> Tensor:
        """What goes through the network: the images, or their views with labels written in."""
        if not self.labelled:
            return images
        return label_views(images, labels, self.classes, self.mean, self.std)

    def predict(self, images: Tensor) -> Tensor:
        """Logits of the backbone alone, in whatever mode the model is."""
        values = without_label(images, self.classes, self.mean, self.std) if self.labelled else images
        whole = values
        with self.cast():
            for block in self.model.blocks:
                values = block(values, whole)
        return values

    def cast(self) -> AbstractContextManager[None]:
        """The precision's autocast; weights are cast anew in every forward, so no stale copy outlives an early step."""
        dtype = AUTOCAST.get(self.plan.config.train.precision)
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.mean.device.type, dtype=dtype, cache_enabled=False)

    def _forward(self, i: Instruction) -> None:
        source = self.values[features(i.block - 1)]
        source.requires_grad_(i.input_grad)
        with torch.set_grad_enabled(i.needs_grad), self.cast():
            out = self.model.blocks[i.block](source, self.values[features(-1)])
        if i.needs_grad:
            self.values[tape(i.block)] = out
        if i.input_grad:
            self.values[f"{tape(i.block)}.input"] = source
        self.values[features(i.block)] = out.detach()

    def _branch(self, i: Instruction) -> None:
        unit = self.plan.by_unit[i.unit]
        source = self.values[features(unit.end)].detach().requires_grad_()
        with self.cast():
            images = self.values[features(-1)]
            out = run_link(self.model, unit.links[0], source, images)
            for link in unit.links[1:]:
                out = out + run_link(self.model, link, source, images)
        self.values[f"{branch_output(unit.name)}.input"] = source
        self.values[f"{branch_output(unit.name)}.graph"] = out
        self.values[branch_output(unit.name)] = out.detach()

    def _branch_backward(self, i: Instruction) -> None:
        unit = self.plan.by_unit[i.unit]
        source = self.values.pop(f"{branch_output(unit.name)}.input")
        torch.autograd.backward(
            self.values.pop(f"{branch_output(unit.name)}.graph"), self.values[branch_cotangent(unit.name)]
        )
        self._accumulate(cotangent(unit.end, unit.start), source)

    def _head(self, i: Instruction) -> None:
        unit, head = self.plan.by_unit[i.unit], self.heads[i.unit, i.head]
        source = self.values[branch_output(unit.name) if unit.links else features(unit.end)]
        networks = [self.model.networks[name].variant(variant) for name, variant in head.runs]
        target = self._target(head)
        loss, gradient = run_head(head, networks, source, target, self.cast, self.scale)
        self.losses[unit.name][head.term] = loss
        self._add(branch_cotangent(unit.name) if unit.links else cotangent(unit.end, unit.start), gradient)

    def _target(self, head: HeadPlan) -> Tensor:
        """What the head's loss compares with."""
        if head.target == "images":
            return self._images()
        labels = self.values["labels"]
        if head.target == "one_hot":
            return F.one_hot(labels, self.classes).to(self.mean.dtype)
        return labels

    def _images(self) -> Tensor:
        """The images in [0, 1] again, the target of a reconstruction."""
        return torch.addcmul(self.mean, self.values[features(-1)].detach(), self.std)

    def _backward(self, i: Instruction) -> None:
        out = self.values[tape(i.block)]
        gradient = self.values[cotangent(i.block, i.start)].to(out.dtype)
        entry = f"{tape(i.block)}.input"
        source = self.values.get(entry) if i.retain else self.values.pop(entry, None)
        if i.start == i.block and source is not None:  # the gradient of the input would be thrown away
            del source
            torch.autograd.backward(out, gradient, retain_graph=i.retain, inputs=self.parameters[f"block{i.block}"])
            return
        torch.autograd.backward(out, gradient, retain_graph=i.retain)
        if i.start < i.block:
            assert source is not None
            self._accumulate(cotangent(i.block - 1, i.start), source)

    def _accumulate(self, name: str, leaf: Tensor) -> None:
        assert leaf.grad is not None
        gradient, leaf.grad = leaf.grad, None
        self._add(name, gradient)

    def _add(self, name: str, gradient: Tensor) -> None:
        if name in self.values:
            self.values[name].add_(gradient)
        else:
            self.values[name] = gradient

    def _step(self, i: Instruction) -> None:
        self.step_group(i.group)

    def _ema_update(self, i: Instruction) -> None:
        for link in self.plan.by_unit[i.unit].links:
            self.model.update_averages(link)

    def _free(self, i: Instruction) -> None:
        for name in i.values:
            self.values.pop(name, None)
            self.values.pop(f"{name}.input", None)


def total_loss(unit: Unit, losses: dict[str, Tensor]) -> Tensor:
    """What the unit minimises: its weighted losses."""
    return torch.stack([head.weight * losses[head.term].detach() for head in unit.heads]).sum()
