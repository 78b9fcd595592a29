"""`devices.shard`: of every network's parameters each copy keeps a part, by torch's `fully_shard`.

They are gathered when a network runs, and everybody has a part once more when its backward is through. Where that does
not follow at once (see `specc.plan.shards.staying`) they are gathered for the forward, and again for the backward.
Gradients come back as sums over the copies, in parts as well, so that optimizers see nothing else.

What torch has for it is loaded by the first network that is dealt out: it takes longer than most other things that a
process loads, and every run passes through here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from specc.plan.shards import Deal

from ..errors import RunError
from .network import GraphModule

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

SUMS = "set_force_sum_reduction_for_comms"


def mesh_of(copies: Any) -> DeviceMesh:
    """The copies, a process group, as torch wants them for sharding."""
    return DeviceMesh.from_group(copies, "cuda" if dist.get_backend(copies) == "nccl" else "cpu")


def shard(module: GraphModule, mesh: DeviceMesh, *, stays: bool) -> None:
    """Have each of the copies keep a part; a network that `stays` is gathered once for forward and backward."""
    if next(module.parameters(), None) is None:
        return
    from torch.distributed.fsdp import FSDPModule, fully_shard

    if not hasattr(FSDPModule, SUMS):
        message = (
            f"`devices.shard` asks for a newer torch: the `fully_shard` of {torch.__version__} makes means of sums"
        )
        raise RunError(message, ("`devices: {shard: false}` keeps all of the network in every copy",))
    sharded = fully_shard(module, mesh=mesh, reshard_after_forward=not stays)
    assert isinstance(sharded, FSDPModule)
    module.sharded = True
    sharded.set_gradient_divide_factor(1.0)  # losses are parts of the whole batch's mean: they add up
    sharded.set_force_sum_reduction_for_comms(True)


def let_go(module: GraphModule) -> None:
    """Keep a part alone of a network that no backward follows on."""
    if module.sharded:
        from torch.distributed.fsdp import FSDPModule

        assert isinstance(module, FSDPModule)
        module.reshard()


def _in_parts(x: Tensor) -> TypeGuard[DTensor]:
    """Whether others have the rest of it: none is where nothing that makes such tensors has been loaded."""
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and isinstance(x, tensors.DTensor)


def own_part(x: Tensor) -> Tensor:
    """What this copy has of a tensor: all of it where it is not sharded."""
    return x.to_local() if _in_parts(x) else x


def whole(x: Tensor) -> Tensor:
    """All of a tensor; of a sharded one all copies ask at the same time."""
    return x.full_tensor() if _in_parts(x) else x


def fill(own: Tensor, numbers: Tensor) -> None:
    """Copy numbers into a tensor, or of its numbers into the part of it that is here."""
    if _in_parts(own):
        mesh = own.device_mesh
        rows = Deal(mesh.size(), mesh.get_local_rank()).rows(len(numbers))
        numbers = numbers[rows.start : rows.stop]
    own_part(own).copy_(numbers)
