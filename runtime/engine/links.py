"""EMA links at run time: how the averaged copy and its bias make one output, and where both start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from specc.plan import LinkPlan

if TYPE_CHECKING:
    from .model import Model


@torch.no_grad()
def start_link(model: Model, link: LinkPlan) -> None:
    """Put both branches where the link says they start; drawn anew is where they are already."""
    tensors = model.tensors()
    if link.init == "copy":
        for copy, source in link.sources.items():
            tensors[copy].copy_(tensors[source])
            if link.bias and link.mode != "parameter":
                tensors[copy.replace(link.ema, link.bias, 1)].copy_(tensors[source])
    if link.bias and link.mode == "parameter":
        for offset in model.networks[link.bias].parameters():
            offset.zero_()
    if link.scale is not None:
        model.scales[link.scale].fill_(1.0)
