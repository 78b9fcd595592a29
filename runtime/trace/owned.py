"""The tensors of a network, of which one may be reached by several paths, or not be trained."""

from __future__ import annotations

from torch import Tensor, nn

TRACKED = frozenset({"running_mean", "running_var", "num_batches_tracked"})


class Owned:
    """Which tensors the modules and attributes of a network have; those that no gradient changes become buffers."""

    def __init__(self, network: nn.Module) -> None:
        stopped = _settled(network)  # by their ids, which the network keeps alive
        tensors = (*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False))
        first: dict[int, str] = {}
        self._trained: dict[str, dict[str, None]] = {}
        self._fixed: set[str] = set()
        for path, tensor in tensors:
            name = first.setdefault(id(tensor), path)
            for around in _levels(path):
                if tensor.requires_grad or path.rpartition(".")[2] in TRACKED:
                    self._trained.setdefault(around, {})[name] = None
                elif id(tensor) in stopped:
                    self._fixed.add(around)

    def trained(self, path: str) -> tuple[str, ...]:
        """The one name of each tensor of a module or attribute that a step changes."""
        return tuple(self._trained.get(path, ())) if path else ()

    def fixed(self, path: str) -> bool:
        """Whether it has parameters that are not trained."""
        return path in self._fixed


def to_meta(network: nn.Module) -> None:
    """Put all tensors on meta; what was one tensor stays one."""
    made: dict[int, nn.Parameter] = {}
    kept = []  # so that no other tensor gets the same id
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                kept.append(parameter)
                empty = parameter.detach().to("meta")
                module._parameters[name] = made.setdefault(id(parameter), nn.Parameter(empty, parameter.requires_grad))
        for name, buffer in list(module._buffers.items()):
            module._buffers[name] = None if buffer is None else buffer.detach().to("meta")


def _settled(network: nn.Module) -> set[int]:
    """Make buffers of the parameters that are not trained."""
    stopped: dict[int, Tensor] = {}
    kept = []  # so that no other tensor gets the same id
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and not parameter.requires_grad:
                kept.append(parameter)
                stopped.setdefault(id(parameter), parameter.detach())
                del module._parameters[name]
                module.register_buffer(name, stopped[id(parameter)])
    return {id(tensor) for tensor in stopped.values()}


def _levels(path: str) -> list[str]:
    """``a.b.c``, ``a.b``, ``a``."""
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
