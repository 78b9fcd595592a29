"""LAMB, which torch does not have: Adam's update, as long as the parameter is large (1904.00962, algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Lamb(torch.optim.Optimizer):
    """p <- p - lr |p| / |u| u, where u is Adam's update with the weight decay added; every tensor is a layer."""

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: Iterable[float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group)

    def _step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        step, (first, second) = state["step"].item(), group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        update = (state["exp_avg_sq"] / (1 - second**step)).sqrt_().add_(group["eps"])
        update.reciprocal_().mul_(state["exp_avg"]).div_(1 - first**step)
        update.add_(parameter, alpha=group["weight_decay"])
        parameter.sub_(update.mul_(trust(parameter, update).mul_(group["lr"])))


def trust(parameter: Tensor, update: Tensor) -> Tensor:
    """|p| / |u|; 1 where either is zero. A tensor, so that nobody waits for the device."""
    ratio: Tensor = torch.linalg.vector_norm(parameter).div_(torch.linalg.vector_norm(update))
    ratio.nan_to_num_(nan=0.0, posinf=0.0)
    ratio.masked_fill_(ratio == 0, 1.0)
    return ratio
