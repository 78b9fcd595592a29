"""EMA links at run time: how the averaged copy and its bias make one output, and where both start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

from specc.plan import LinkPlan

if TYPE_CHECKING:
    from .model import Model


def run_link(model: Model, link: LinkPlan, x: Tensor, images: Tensor) -> Tensor:
    """What the unit's heads read in place of `x`; a copied layer may read the images too."""
    ema = model.networks[link.ema]
    if link.bias is None:
        return ema(x, images)  # type: ignore[no-any-return]
    bias = model.networks[link.bias]
    if link.mode == "parameter":
        pairs = zip(ema.named_parameters(), bias.parameters(), strict=True)
        return functional_call(ema, {name: average + offset for (name, average), offset in pairs}, (x, images))  # type: ignore[no-any-return]
    if link.scale is not None:
        s = model.scales[link.scale]
        return s * bias(x, images) + (2 - s) * ema(x, images)  # type: ignore[no-any-return]
    return bias(x, images) + ema(x, images)  # type: ignore[no-any-return]


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
