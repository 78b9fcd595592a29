"""A backbone of somebody else's code under the names of its own `state_dict`, which takes all of it back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from specc.graph.families import Foreign

from ..engine.own import own_names
from ..errors import RunError
from ..trace.entering import unpacked
from ..trace.networks import make
from ..trace.written import main
from .trained import Trained


@torch.no_grad()
def state(trained: Trained) -> dict[str, Tensor]:
    """The network's own state with the trained numbers; `RunError` where specc made the network."""
    own = _network(trained).state_dict()
    for canonical, name in own_names(trained.plan):
        if name in own:
            own[name].copy_(trained.tensors[canonical])
    return {name: tensor.detach().clone().contiguous() for name, tensor in own.items()}


def loaded(trained: Trained, state: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The network's own code with a state, which has to fit it to the last name."""
    network = _network(trained)
    network.load_state_dict(state, strict=True)
    network.eval()
    parts = trained.plan.data.parts

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        given, named = unpacked(images, parts) if parts else ([images], {})
        logits: Tensor = main(network(*given, **named))
        return logits

    return run


def _network(trained: Trained) -> nn.Module:
    """As its own code makes it, on the host."""
    if trained.unit is not None:
        raise RunError("the network's own code has no early exits", ("leave --unit away, or take another format",))
    backbone, data = trained.plan.config.backbone, trained.plan.data
    if not isinstance(backbone, Foreign):
        text = f"the backbone of `{trained.plan.name}` is of specc's own making, and has no names beside specc's"
        raise RunError(text, ("take another format: `--to safetensors`, or `--to torchvision` for one of its models",))
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        return make(backbone.source(data.shape, data.classes, data.vocabulary)).float()
