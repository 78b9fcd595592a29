"""The tensors of a network that somebody else wrote: trained in its own module, or begun with its own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from specc.graph.families import Foreign, TracedModule
from specc.graph.traced.names import own_name
from specc.plan import Plan

from ..errors import RunError
from ..trace.given import recognise
from ..trace.networks import make
from .network import GraphModule


def check(plan: Plan, module: nn.Module) -> None:
    """Raise `RunError` where the plan is of a module that Python handed over, and this is another one."""
    backbone = plan.config.backbone
    if isinstance(backbone, TracedModule):
        recognise(backbone.source(plan.data.shape, plan.data.classes, plan.data.vocabulary), module)


def bind(block: GraphModule, module: nn.Module) -> None:
    """Have a block compute with the tensors of `module` itself; raises `RunError` where it is another network."""
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    for name, holder, key, tensor in _tensors(block):
        if name not in own and isinstance(tensor, nn.Parameter):
            raise RunError(f"the module has no `{name}`: it is not the one that was traced")
        if isinstance(tensor, nn.Parameter) and tensor.requires_grad and not own[name].requires_grad:
            text = f"`{name}` of the module asks for no gradient, and the plan trains it"
            raise RunError(text, ("`.requires_grad_(True)` it before",))
        if not isinstance(tensor, nn.Parameter) and name in own and own[name].requires_grad:
            text = f"`{name}` of the module asks for a gradient, and asked for none when the plan was made"
            raise RunError(text, ("trace it anew, or `.requires_grad_(False)` it before",))
        found = own.get(name, tensor)  # a tensor that the module holds beside its buffers is in neither
        if (found.shape, found.device, found.dtype) != (tensor.shape, tensor.device, tensor.dtype):
            text = f"`{name}` of the module is {_shown(found)}, and the session takes {_shown(tensor)}"
            raise RunError(text, ("trace the module that is trained, and `.to(device, dtype)` it before",))
        if isinstance(found, nn.Parameter) and isinstance(tensor, nn.Parameter):
            _agree(name, found, trained=tensor.requires_grad)
        holder[key] = found


def _agree(name: str, parameter: nn.Parameter, *, trained: bool) -> None:
    """Have a parameter of the module's be frozen where the plan says so; what it trains has to ask for gradients."""
    if trained and not parameter.requires_grad:
        help = (f"`train: {{freeze: [...]}}` leaves it as it is, `requires_grad_()` has `{name}` trained",)
        raise RunError(f"`{name}` of the module asks for no gradient, and the plan trains it", help)
    parameter.requires_grad_(trained)


def numbers(plan: Plan, seed: int) -> Mapping[str, Tensor]:
    """What the network's own code begins with, drawn from the seed, by canonical names; nothing of specc's networks."""
    backbone = plan.config.backbone
    if isinstance(backbone, TracedModule):
        text = f"the plan trains a module that was given in Python, a `{backbone.traced}`, and is given none"
        raise RunError(text, ("`runtime.Session(plan, module=module)` trains its parameters in place",))
    if not isinstance(backbone, Foreign):
        return {}
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        torch.manual_seed(seed)
        state = make(backbone.source(plan.data.shape, plan.data.classes, plan.data.vocabulary)).state_dict()
    return {canonical: state[name] for canonical, name in own_names(plan) if name in state}


def own_names(plan: Plan) -> Iterator[tuple[str, str]]:
    """Every tensor of the backbone: its canonical name, and that in the network's own `state_dict`."""
    for block in plan.blocks:
        network = plan.networks[block.name]
        for node in network.graph.nodes:
            for tensor in (*node.parameters, *node.buffers):
                yield f"{network.prefix}{node.name}.{tensor}", own_name(node, tensor)


@torch.no_grad()
def begin(tensors: Iterable[tuple[str, Tensor]], begins: Mapping[str, Tensor]) -> None:
    """Give tensors the numbers that they begin with, where that is said of them."""
    for name, tensor in tensors:
        if name in begins:
            tensor.copy_(begins[name])


def _tensors(block: GraphModule) -> Iterator[tuple[str, dict[str, Any], str, Tensor]]:
    """Every tensor of a block: its own name, what holds it, under which key, and itself."""
    for node, part in zip(block.network.graph.nodes, block.parts, strict=True):
        for path, module in part.named_modules():
            for holder in (module._parameters, module._buffers):
                for key, tensor in list(holder.items()):
                    if tensor is not None:
                        yield own_name(node, f"{path}.{key}".lstrip(".")), holder, key, tensor


def _shown(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"
