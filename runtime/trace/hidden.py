"""Modules that hide what they do from whoever runs them in Python."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

WRAPPERS = {"OptimizedModule", "DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"}


def unreadable(module: nn.Module) -> str:
    """Why nobody can follow what it does; nothing where one can."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            return f"`{name}` has no shape yet: call the module once on a batch before"
    inner = {"_orig_mod": "is compiled", "module": "is made for several devices"}
    kinds = {kind.__name__ for kind in type(module).__mro__}
    for attribute, why in inner.items() if WRAPPERS & kinds else ():
        if hasattr(module, attribute):
            return f"it {why}: trace what is in it, `.{attribute}`"
    if any(isinstance(each, torch.jit.ScriptModule) for each in module.modules()):
        return "it is a script, whose calls Python does not hear of: trace the module that it was made of"
    return ""


def of_other_numbers(module: nn.Module) -> str:
    """Why its parameters cannot be trained as a spec says; nothing where they can."""
    for name, tensor in module.named_parameters():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            return f"`{name}` is {kind}, and parameters are float32: `train.precision` says what is computed in"
    return ""
