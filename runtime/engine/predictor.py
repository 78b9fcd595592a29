"""What predicts without its plan: the backbone, or its first blocks and the classifier of the unit at their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from specc.learning.losses import LOSSES
from specc.plan import HeadPlan, LinkPlan, PatchGrid, Unit

from .label_views import without_label
from .losses import answer_function
from .model import Model
from .network import GraphModule


class Predictor(nn.Module):
    """Normalised images to logits, in evaluation mode and without anything that only training needs; on a CPU.

    It shares the tensors of the model. Its forward is plain tensor code, which torch.export and ONNX can follow.
    """

    def __init__(self, model: Model, unit: Unit | None = None) -> None:
        super().__init__()
        plan = model.plan
        self.head = unit.telling[0] if unit else None  # as an early exit; those beside it say the same in other ways
        blocks = plan.blocks if unit is None else plan.blocks[: unit.end + 1]
        self.blocks = nn.ModuleList(model.networks[block.name] for block in blocks)
        self.read = unit.read if unit else ""
        self.skips = {skip.name for block in blocks for skip in plan.networks[block.name].graph.reads} | {self.read}
        self.links = nn.ModuleList(_Link(model, link) for link in unit.links) if unit else nn.ModuleList()
        self.heads = (
            nn.ModuleList(model.networks[name] for name in self.head.networks) if self.head else nn.ModuleList()
        )
        self.classes = plan.data.classes if plan.config.views > 1 else 0
        self.mean, self.std = (torch.tensor(v).view(plan.data.along) for v in (plan.data.mean, plan.data.std))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits of (N, C, H, W) images."""
        if self.classes:  # the network knows images that may have a label written into them
            images = without_label(images, self.classes, self.mean, self.std)
        x, beside = images, dict[str, Tensor]()
        for block in self.blocks:
            x = self._passed(cast(GraphModule, block), x, images, beside)
        x = beside[self.read] if self.read else x
        if len(self.links):
            first, *others = (link(x, images) for link in self.links)
            x = sum(others, start=first)
        return self._classified(x)

    def _passed(self, block: GraphModule, x: Tensor, images: Tensor, beside: dict[str, Tensor]) -> Tensor:
        """What a block hands on; `beside` is what crosses cuts beside that, by name."""
        graph = block.network.graph
        outs = block.computed(x, images, [beside[skip.name] for skip in graph.reads])
        given = zip((graph.output, *graph.gives), outs, strict=True)
        beside |= {name: value for name, value in given if name in self.skips}
        return outs[0]

    def _classified(self, x: Tensor) -> Tensor:
        if self.head is None or not self.head.networks:  # the last unit's classifier is the end of the backbone
            return x
        grid = self.head.patches
        patches = _cut(x, grid) if grid else [x]
        modules = (cast(GraphModule, module) for module in self.heads)
        variants = (variant for _, variant in self.head.runs)
        outs = [module.variant(v)(part) for module, v, part in zip(modules, variants, patches, strict=True)]
        return answer_function(self.head.loss)(joined(outs, self.head) if grid else outs[0])


class _Link(nn.Module):
    """An EMA link: both of its branches on a unit's features, added."""

    def __init__(self, model: Model, link: LinkPlan) -> None:
        super().__init__()
        self.mode = link.mode
        self.ema = model.networks[link.ema]
        self.bias = model.networks[link.bias] if link.bias else None
        self.scale = model.scales[link.scale] if link.scale else None
        if self.bias is not None and self.mode == "parameter":
            self.ema, self.bias = _added(self.ema, self.bias), None

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        """What the unit's heads read in place of `x`."""
        average: Tensor = self.ema(x, images)
        if self.bias is None:
            return average
        branch: Tensor = self.bias(x, images)
        return branch + average if self.scale is None else self.scale * branch + (2 - self.scale) * average


@torch.no_grad()
def _added(average: GraphModule, offset: GraphModule) -> GraphModule:
    """A copy of a network whose parameters are the sums of two others'."""
    found = GraphModule(average.network)
    found.load_state_dict(average.state_dict())
    for parameter, more in zip(found.parameters(), offset.parameters(), strict=True):
        parameter.add_(more)
    return found


def _cut(x: Tensor, grid: PatchGrid) -> Sequence[Tensor]:
    """The patches of features, row by row."""
    if grid.tokens is not None:
        x = x[:, grid.tokens.skip :].transpose(1, 2).unflatten(2, grid.tokens.size)
    return [x[..., top:bottom, left:right] for top, bottom, left, right in grid.cells(x.shape[-2:])]


def joined(outs: Sequence[Tensor], head: HeadPlan) -> Tensor:
    """One answer from those of patches: side by side where each is of its own pixels, else their mean."""
    grid = head.patches
    if grid is None or grid.fuse == "outputs" or not LOSSES[head.loss].in_pixels:
        return torch.stack(list(outs)).mean(0)
    rows, columns = grid.grid
    return torch.cat([torch.cat(list(outs[row * columns : (row + 1) * columns]), -1) for row in range(rows)], -2)
