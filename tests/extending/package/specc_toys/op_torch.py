"""The op as a torch module."""

from torch import nn

from specc.extending import Shape

from .op import Softplus


def softplus(op: Softplus, shapes: tuple[Shape, ...]) -> nn.Module:
    return nn.Softplus(op.beta)
