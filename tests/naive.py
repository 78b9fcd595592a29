"""One training step in the plainest way: every unit on its own, ordinary autograd, SGD written out. The oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime import Session
from specc.graph import ops
from specc.graph.graph import INPUT, Graph, Node
from specc.plan import HeadPlan, Network, Plan, Unit

Tensors = dict[str, Tensor]


class Naive:
    """A plan's arithmetic without its instructions, on copies of a session's parameters."""

    def __init__(self, session: Session) -> None:
        self.plan: Plan = session.plan
        self.parameters: Tensors = {name: p.detach().clone() for name, p in session.named_parameters()}
        self.momenta: Tensors = {}

    def step(self, images: Tensor, labels: Tensor) -> tuple[dict[str, dict[str, Tensor]], Tensors]:
        """Losses and gradients of one step, which is also taken."""
        fixed = {name for unit in self.plan.units for link in unit.links for name in link.sources}
        fixed |= {f"{network.prefix}{node.name}.{name}" for network in self.plan.networks.values()
                  for node in network.graph.nodes if node.frozen for name in node.parameters}  # fmt: skip
        leaves = {n: p.clone().requires_grad_(n not in fixed) for n, p in self.parameters.items()}
        losses: dict[str, dict[str, Tensor]] = {}
        total = torch.zeros((), dtype=images.dtype)
        for unit in self.plan.units:
            found = self.losses(unit, leaves, images, labels)
            losses[unit.name] = {head.term: found[head.name].detach() for head in unit.heads}
            total = total + sum(head.weight * found[head.name] for head in unit.heads)
        total.backward()  # the units' windows are cut off from one another, so one backward serves all
        gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        self.average()
        self.descend(gradients)
        return losses, gradients

    def losses(self, unit: Unit, leaves: Tensors, images: Tensor, labels: Tensor) -> Tensors:
        """A unit's own forward: the whole network up to its end, gradient only inside its window."""
        x = images
        for block in self.plan.blocks[: unit.end + 1]:
            x = run(self.plan.networks[block.name], leaves, x.detach() if block.index == unit.start else x)
        if unit.links:
            copies = [name for link in unit.links for name in (link.ema, link.bias) if name]
            x = torch.stack([run(self.plan.networks[name], leaves, x) for name in copies]).sum(0)
        mean, std = (
            torch.tensor(v, dtype=x.dtype).view(1, -1, 1, 1) for v in (self.plan.data.mean, self.plan.data.std)
        )
        targets = {"labels": labels, "images": images * std + mean}
        return {head.name: self.loss(head, leaves, x, targets[head.target]) for head in unit.heads}

    def loss(self, head: HeadPlan, leaves: Tensors, x: Tensor, target: Tensor) -> Tensor:
        judge = LOSSES[head.loss]
        networks = [self.plan.networks[name] for name in head.networks]
        if head.patches is None:
            return judge(run(networks[0], leaves, x) if networks else x, target)
        outs = [run(n, leaves, part) for n, part in zip(networks, quarter(x, head.patches.grid), strict=True)]
        if head.patches.fuse == "outputs":
            return judge(torch.stack(outs).mean(0), target)
        parts = quarter(target, head.patches.grid) if head.target == "images" else [target] * len(outs)
        return torch.stack([judge(out, part) for out, part in zip(outs, parts, strict=True)]).sum()

    def average(self) -> None:
        """m ema + (1 - m) source, with the source as it is before this step."""
        for link in (link for unit in self.plan.units for link in unit.links):
            for copy, source in link.sources.items():
                old, new = self.parameters[copy], self.parameters[source]
                self.parameters[copy] = link.momentum * old + (1 - link.momentum) * new

    def descend(self, gradients: Tensors) -> None:
        """Nesterov's SGD with weight decay, as Sutskever et al. 2013 and torch's documentation write it."""
        sgd = self.plan.config.train.optimizer
        assert sgd.nesterov
        for name, gradient in gradients.items():
            g = gradient + sgd.weight_decay * self.parameters[name]
            v = sgd.momentum * self.momenta[name] + g if name in self.momenta else g
            self.momenta[name] = v
            self.parameters[name] = self.parameters[name] - sgd.lr * (g + sgd.momentum * v)


def quarter(x: Tensor, grid: Sequence[int]) -> list[Tensor]:
    """The patches of an image or feature map, row by row."""
    return [part for row in x.chunk(grid[0], 2) for part in row.chunk(grid[1], 3)]


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy, "bce": F.binary_cross_entropy, "mse": F.mse_loss,
}  # fmt: skip


def run(network: Network, leaves: Tensors, x: Tensor) -> Tensor:
    """A network's output in training mode."""
    graph: Graph = network.graph
    values = {INPUT: x}
    for node in graph.nodes:
        own = {name: leaves[f"{network.prefix}{node.name}.{name}"] for name in node.parameters}
        values[node.name] = apply(node, [values[name] for name in node.inputs], own)
    return values[graph.output]


def apply(node: Node, inputs: list[Tensor], own: Tensors) -> Tensor:
    """One op, by torch's functions."""
    x = inputs[0]
    match node.op:
        case ops.Conv(stride=stride):
            return F.conv2d(x, own["weight"], own.get("bias"), stride, own["weight"].shape[-1] // 2)
        case ops.BatchNorm(eps=eps):
            axes = [axis for axis in range(x.dim()) if axis != 1]
            shape = [-1 if axis == 1 else 1 for axis in range(x.dim())]
            normal = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()
            return normal * own["weight"].view(shape) + own["bias"].view(shape)
        case ops.Relu():
            return x.clamp(min=0)
        case ops.Add():
            return inputs[0] + inputs[1]
        case ops.GlobalAvgPool():
            return x.mean((2, 3))
        case ops.Flatten():
            return x.flatten(1)
        case ops.Linear():
            return x @ own["weight"].T + own["bias"]
        case ops.Resize(size=size):
            return F.interpolate(x, size, mode="bilinear", align_corners=True)
        case ops.Sigmoid():
            return 1 / (1 + (-x).exp())
    raise NotImplementedError(node.op.name)
