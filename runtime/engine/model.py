"""All tensors of a plan: its networks as modules, their canonical names, and the optimizers of its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from specc.diagnostics.notices import notice
from specc.graph.ops.base import ParameterKind
from specc.plan import LinkPlan, Plan, ReceiveSources
from specc.plan.offloading import PARAMETERS, held_by
from specc.plan.shards import staying

from .borrowed import Borrowed
from .modules import BatchNorm
from .network import GraphModule, initialise
from .offload import Offload, Slot
from .own import begin, bind, check
from .sharding import own_part, shard
from .weights import beginnings

Pairs = tuple[list[Tensor], list[Tensor]]
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def memory_format_of(plan: Plan) -> torch.memory_format:
    """How images, their features and kernels lie in memory."""
    asked = plan.config.train.memory_format if plan.data.pixels_can_lie_apart else "contiguous"
    return MEMORY_FORMATS[asked]


class Model:
    """The networks of a plan on one device; where there is a `mesh` of copies, this one's part of them.

    Network by network, so that no copy ever has all of them. Parameters are drawn of `seed`, where there is one; those
    of the blocks are the tensors of the module `own`, where it is given. Without `load` the plan's weights stay unread.
    """

    def __init__(
        self, plan: Plan, device: torch.device, dtype: torch.dtype, mesh: DeviceMesh | None = None,
        seed: int | None = None, own: nn.Module | None = None, load: bool = True,
    ) -> None:  # fmt: skip
        self.plan, self.device, self.held = plan, device, held_by(plan)
        if own is not None:
            check(plan, own)
        with torch.device("meta"):
            self.networks = {name: GraphModule(network) for name, network in plan.networks.items()}
        self.memory_format = memory_format_of(plan)
        self.sharded, stays = mesh is not None, staying(plan) if mesh is not None else frozenset[str]()
        begins = {} if seed is None else beginnings(plan, seed, drawn=own is None, load=load)
        blocks = {block.name for block in plan.blocks}
        for name, module in self.networks.items():
            _materialise(module, self._empty(name), device, dtype, self.memory_format,
                         trained=plan.networks[name].group is not None)  # fmt: skip
            if seed is not None:
                _draw(module, seed)
            if own is not None and name in blocks:
                bind(module, own)
            if seed is not None:
                begin((*module.canonical_parameters(), *module.canonical_buffers()), begins)
            if mesh is not None:
                shard(module, mesh, stays=name in stays)
        self.blocks = [self.networks[block.name] for block in plan.blocks]
        self.links = [link for unit in plan.units for link in unit.links]
        self.scales = {
            link.scale: nn.Parameter(self._empty(link.bias or "")((), dtype=dtype).fill_(1.0))
            for link in self.links if link.scale
        }  # fmt: skip
        self.parameters = dict(self._parameters())
        self.borrowed = {i.unit: Borrowed(plan, i, device, dtype) for i in plan.instructions
                         if isinstance(i, ReceiveSources)}  # fmt: skip
        if seed is not None:
            for borrowed in self.borrowed.values():
                borrowed.reset(seed)
                begin(borrowed.tensors.items(), begins)
            for link in self.links:
                self._start(link)
        self.offload = Offload(self.held, self.slots(), device) if self.held else None
        self.copied: dict[str, Tensor] = {}  # what the device has throughout of parameters that live on the host
        if self.offload is not None:
            names = {id(parameter): name for name, parameter in self.parameters.items()}
            self.copied = {names[id(own)]: copy for own, copy in self.offload.staying()}
        self._averaged: dict[tuple[str, bool | None], Pairs] = {}  # copies and sources of links, once asked

    def _empty(self, network: str) -> Callable[..., Tensor]:
        """Makes the parameters of a network where they live; a GPU reads those of the host that are never paged out."""
        if network not in self.held.networks:
            return partial(torch.empty, device=self.device)
        return partial(torch.empty, device="cpu", pin_memory=self.device.type == "cuda")

    def slots(self) -> dict[str, list[Slot]]:
        """What lives on the host, by what is loaded together."""
        found: dict[str, list[Slot]] = {}
        for state, names in self.held.states.items():
            modules = (module for name in names for part in self.networks[name].parts for module in part.modules())
            places = [(module._parameters, key) for module in modules for key in module._parameters]
            own = [Slot(holder, key, p) for holder, key in places if (p := holder[key]) is not None]
            scales = (key for key in self.scales if state == PARAMETERS + key.removesuffix(".scale"))
            found[state] = own + [Slot(self.scales, key, self.scales[key]) for key in scales]
        return found

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for module in self.networks.values():
            yield from module.canonical_parameters()
        yield from self.scales.items()

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Buffers by canonical name."""
        return {name: tensor for module in self.networks.values() for name, tensor in module.canonical_buffers()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything a checkpoint of the model holds."""
        return {**self.parameters, **self.buffers}

    def trained(self) -> dict[str, Tensor]:
        """What steps change: parameters of optimizer groups, and the buffers of their networks."""
        prefixes = tuple(n.prefix for n in self.plan.networks.values() if n.group is None)
        changed = {name: parameter for name, parameter in self.parameters.items() if parameter.requires_grad}
        return {name: tensor for name, tensor in (changed | self.buffers).items() if not name.startswith(prefixes)}

    def group(self, name: str) -> list[nn.Parameter]:
        """The trained parameters of an optimizer group."""
        return [parameter for _, parameter in self.kinds(name)]

    def used(self, group: str) -> list[nn.Parameter]:
        """What the backward finds gradients for: the parameters, or of sharded networks these in full."""
        if not self.sharded:
            return self.group(group)
        return [parameter for name in self.plan.groups[group] for parameter in self.networks[name].used]

    def kinds(self, group: str) -> Iterator[tuple[ParameterKind, nn.Parameter]]:
        """The trained parameters of an optimizer group, and of which kind each is."""
        networks = self.plan.groups[group]
        for name in networks:
            module = self.networks[name]
            for node, part in zip(module.network.graph.nodes, module.parts, strict=True):
                yield from ((node.op.kind_of(key), parameter) for key, parameter in part.named_parameters()
                            if not node.frozen)  # fmt: skip
        yield from (("scales", p) for key, p in self.scales.items() if key.removesuffix(".scale") in networks)

    @torch.no_grad()
    def _start(self, link: LinkPlan) -> None:
        """Put both branches where the link says they start; drawn anew is where they are already."""
        tensors = self.tensors()
        if link.init == "copy":
            tensors |= self._lent(link)
            for copy, source in link.sources.items():
                both = link.bias is not None and link.mode != "parameter"
                for name in (copy, *((copy.replace(link.ema, link.bias or "", 1),) if both else ())):
                    own_part(tensors[name]).copy_(own_part(tensors[source]))
        if link.bias and link.mode == "parameter":
            for offset in self.networks[link.bias].parameters():
                offset.zero_()
        if link.scale is not None:
            self.scales[link.scale].fill_(1.0)

    @torch.no_grad()
    def update_averages(self, link: LinkPlan, *, hosted: bool | None = None) -> None:
        """ema <- m ema + (1 - m) source, in place: all, or those copies that live on the host, or those that do not."""
        copies, sources = self._averaged.get((link.ema, hosted)) or self._listed(link, hosted)
        if copies:  # a copied ReLU has nothing to average
            if hosted:  # what another stage lends is on the device
                sources = [source.to(copy.device) for copy, source in zip(copies, sources, strict=True)]
            torch._foreach_lerp_(copies, sources, 1 - link.momentum)

    def _listed(self, link: LinkPlan, hosted: bool | None) -> Pairs:
        """To go through the modules for them takes longer than to average them, so it is done once."""
        tensors = self.tensors() | self.copied | self._lent(link)
        there = self.parameters.keys() if link.ema in self.held.networks else frozenset()
        names = [name for name in link.sources if hosted is None or (name in there) == hosted]
        copies, sources = (tensors[name] for name in names), (tensors[link.sources[name]] for name in names)
        found = [own_part(copy) for copy in copies], [own_part(source) for source in sources]
        self._averaged[link.ema, hosted] = found
        return found

    def _lent(self, link: LinkPlan) -> dict[str, Tensor]:
        """The tensors of another stage that a link averages; every unit is lent its own, when it is its turn."""
        unit = next(unit.name for unit in self.plan.units if link in unit.links)
        return self.borrowed[unit].tensors if unit in self.borrowed else {}

    def synchronise(self, copies: Any) -> None:
        """Have every batch norm look at the samples of all copies, a process group."""
        for name, module in self.networks.items():
            for part in module.modules():
                if isinstance(part, BatchNorm):
                    part.copies = copies
                elif isinstance(part, nn.modules.batchnorm._BatchNorm):
                    notice(f"warning: a batch norm inside of a part of `{name}` takes its own copy's statistics alone")

    def train(self, mode: bool) -> None:
        """Batch statistics (training) or running statistics (evaluation); to walk through all parts takes a while."""
        for module in self.networks.values():
            if module.training != mode:
                module.train(mode)


def _materialise(
    module: GraphModule, empty: Callable[..., Tensor], device: torch.device, dtype: torch.dtype,
    memory_format: torch.memory_format, *, trained: bool,
) -> None:  # fmt: skip
    """Give the tensors of a module built on `meta` a place, one that two modules have one; works for fakes too."""
    made: dict[nn.Parameter, nn.Parameter] = {}
    pairs = zip(module.network.graph.nodes, module.parts, strict=True)
    for trainable, part in ((trained and not node.frozen, inner) for node, own in pairs for inner in own.modules()):
        for name, parameter in part.named_parameters(recurse=False):
            if parameter not in made:
                order = memory_format if parameter.dim() == 4 else torch.contiguous_format
                numbers = empty(parameter.shape, dtype=dtype, memory_format=order)
                made[parameter] = nn.Parameter(numbers, trainable)
            part._parameters[name] = made[parameter]
        for name, buffer in part.named_buffers(recurse=False):
            kind = dtype if buffer.is_floating_point() else buffer.dtype
            part._buffers[name] = torch.empty(buffer.shape, dtype=kind, device=device)


def _draw(module: GraphModule, seed: int) -> None:
    """Draw all parameters anew and clear all statistics."""
    tensor: Tensor
    for node, part in zip(module.network.graph.nodes, module.parts, strict=True):
        for name, tensor in part.named_parameters():
            initialise(f"{module.network.prefix}{node.name}.{name}", tensor, node.op.initial(name), seed)
        fixed: dict[str, Tensor] = getattr(part, "fixed_buffers", {})
        for name, tensor in part.named_buffers():
            if name in fixed:
                tensor.copy_(fixed[name])
            else:
                tensor.fill_(1 if name == "running_var" else 0)
