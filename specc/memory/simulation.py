"""Predicts the memory of one step by walking the instructions with a pretend allocator. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.graph import Graph
from ..graph.ops import Order, Shape, numel
from ..plan import (
    HeadPlan,
    Instruction,
    LinkPlan,
    Memory,
    Moment,
    Network,
    Plan,
    Unit,
    branch_cotangent,
    branch_output,
    cotangent,
    features,
    tape,
)
from ..spec.models import SpecModel
from ..system.devices import Device
from ..tasks.datasets import ResolvedData
from ..tasks.registry import TASKS
from . import tape as tapes
from .allocator import Allocator, Storage
from .head_memory import HeadSimulation

LOW_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Step:
    """What a simulation looks at, of a plan in the making or of a finished one."""

    config: SpecModel
    data: ResolvedData
    networks: Mapping[str, Network]
    units: tuple[Unit, ...]
    instructions: tuple[Instruction, ...]
    device: Device


def predicted_for(plan: Plan, device: Device) -> Plan:
    """The plan with its memory predicted by the rules of a device."""
    if plan.memory.device == device:
        return plan
    step = Step(plan.config, plan.data, plan.networks, plan.units, plan.instructions, device)
    return replace(plan, memory=Simulation(step).run())


def as_traced(plan: Plan) -> Memory:
    """The plan's memory as a trace sees it: as on a CPU, where gradients are never added to in place."""
    return predicted_for(plan, "cpu").memory


def first_difference(predicted: Memory, traced: Sequence[int], tolerance: float = 0.01) -> Moment | None:
    """The first instruction whose prediction is off by more than `tolerance` of the trace."""
    pairs = zip(predicted.timeline, traced, strict=True)
    return next((moment for moment, found in pairs if abs(moment.bytes - found) > tolerance * found), None)


class Simulation:
    """One training step, from the second on (momentum exists), under a pretend allocator."""

    def __init__(self, step: Step, source: Shape | None = None) -> None:
        self.step = step
        self.source = source  # shape of what the first block reads, where that is not the images
        self.resident = 0  # bytes that live throughout
        config = step.config
        swapped = config.train.memory_format == "channels_last"
        traced = step.device == "cpu"
        low = LOW_BYTES[config.train.precision]
        self.costs = tapes.Costs(config.rows, low, traced=traced, views=config.views, swapped=swapped)
        self.units = {unit.name: unit for unit in step.units}
        self.memory = Allocator()
        self.values: dict[str, Storage] = {}
        self.tapes: dict[str, tapes.Tape] = {}
        first: Order = "swapped" if swapped and config.views == 1 else "plain"  # views are made anew, in torch's order
        self.orders = {features(-1): first}  # in which features lie in memory
        self.grads: dict[str, dict[str, Storage]] = {}

    def run(self, until: int | None = None) -> Memory:
        """The timeline of the whole step, or of its first `until` instructions."""
        self._resident()
        moments = []
        for i, instruction in enumerate(self.step.instructions[:until]):
            self.memory.begin()
            getattr(self, f"_{instruction.kind}")(instruction)
            moments.append(Moment(i, self.memory.highest, {k: v for k, v in self.memory.snapshot.items() if v}))
        top = max(moments, key=lambda moment: moment.bytes)
        return Memory(top.bytes, top.instruction, top.categories, tuple(moments), self.step.device)

    def _resident(self) -> None:
        """What lives through the whole step: parameters, their optimizer state, averages, buffers, the batch."""
        config = self.step.config
        for network in self.step.networks.values():
            for category, size in resident(config, network).items():
                self.memory.new(size, category)
        images = self.memory.new(batch_bytes(config, self.step.data), "inputs")
        self.resident = self.memory.total
        if config.views > 1:  # the batch stays with whoever made it; the step works on its views
            images = self.memory.new(4 * numel(self.step.data.shape) * self.costs.batch, "inputs")
        self.images = tapes.Images(images, self.orders[features(-1)])
        self.values[features(-1)] = images if self.source is None else self._features(self.source)

    def _features(self, shape: Shape) -> Storage:
        width = self.costs.low
        return self.memory.new(numel(shape) * self.costs.batch * width, "activations", width)

    def _forward(self, i: Instruction) -> None:
        network = self.step.networks[f"block{i.block}"]
        source = self.values[features(i.block - 1)]
        out, recorded = tapes.forward_in_pieces(
            self.memory, self.costs, network, source, record=i.needs_grad, input_grad=i.input_grad,
            order=self.orders[features(i.block - 1)], images=self.images,
        )  # fmt: skip
        self.orders[features(i.block)] = recorded.order
        self.values[features(i.block)] = out
        if i.needs_grad:
            self.values[tape(i.block)] = self.memory.hold(out)  # the graph hangs on the output
            self.tapes[tape(i.block)] = recorded
        if i.input_grad:
            self.values[f"{tape(i.block)}.input"] = self.memory.hold(source)  # a leaf lives as long as the graph
        if i.block == 0 and self.source is not None:
            self.memory.drop(self.values.pop(features(-1)))

    def _branch(self, i: Instruction) -> None:
        unit = self.units[i.unit]
        source = self.values[features(unit.end)]
        total: Storage | None = None
        for link in unit.links:
            total = self._plus(total, self._link(unit, link, source))
        assert total is not None
        self.values[branch_output(unit.name)] = total

    def _link(self, unit: Unit, link: LinkPlan, source: Storage) -> Storage:
        """What a link gives; a `parameter` link runs once, on sums of averages and offsets."""
        if link.mode == "parameter":
            sums = self.memory.new(4 * self.step.networks[link.ema].graph.parameter_count, "parameters")
        total: Storage | None = None
        for name in ran(link):
            network = self.step.networks[name]
            out, self.tapes[name] = tapes.forward(
                self.memory, self.costs, network.graph, source,
                record=True, trainable=network.group is not None, input_grad=True,
                order=self.orders[features(unit.end)], images=self.images,
            )  # fmt: skip
            self.orders.setdefault(branch_output(unit.name), self.tapes[name].order)
            if link.scale is not None:
                self.values[f"{name}.out"] = out  # a factor of the scaled one
                out = self.memory.new(out.bytes, out.category, out.width)
            total = self._plus(total, out)
        if link.mode == "parameter":
            self.memory.drop(sums)
            for name in ran(link):
                tapes.keep_parameters(self.memory, self.costs, self.tapes[name])
        assert total is not None
        return total

    def _plus(self, total: Storage | None, storage: Storage) -> Storage:
        """The sum of what is there and one more, in a storage of its own."""
        if total is None:
            return storage
        result = self.memory.new(total.bytes, total.category, total.width)
        self.memory.drop(total, storage)
        return result

    def _branch_backward(self, i: Instruction) -> None:
        unit = self.units[i.unit]
        incoming = self.values[branch_cotangent(unit.name)]
        total: Storage | None = None
        first = ran(unit.links[0])[0]  # the last to send a gradient
        for link in reversed(unit.links):
            for name in reversed(ran(link)):
                network, gradient = self.step.networks[name], self.memory.hold(incoming)
                if link.scale is not None:
                    gradient = self._scaled_backward(name, gradient)
                total = tapes.backward(
                    self.memory, self.costs, self.tapes.pop(name), gradient, self._grads(network), network.prefix,
                    input_grad=True, owned=True, arrived=total, more=name != first,
                )  # fmt: skip
        self._accumulate(cotangent(unit.end, unit.start), total)

    def _scaled_backward(self, name: str, incoming: Storage) -> Storage:
        """Through the product with the learnt scale, whose own gradient is a sum over as many numbers."""
        scale, gradient = (self.memory.new(incoming.bytes, incoming.category, incoming.width) for _ in range(2))
        self.memory.drop(scale, incoming, self.values.pop(f"{name}.out"))
        return gradient

    def _head(self, i: Instruction) -> None:
        unit = self.units[i.unit]
        gradient = self._run_head(unit, next(h for h in unit.heads if h.name == i.head))
        self._accumulate(branch_cotangent(unit.name) if unit.links else cotangent(unit.end, unit.start), gradient)

    def _run_head(self, unit: Unit, head: HeadPlan) -> Storage:
        """One head's forward, loss and backward: the gradient at the features."""
        source = self.values[branch_output(unit.name) if unit.links else features(unit.end)]
        grads = self.grads.setdefault(f"{unit.name}.{head.name}", {})
        sizes = numel(unit.feature), numel(self.step.data.shape)
        order = self.orders[branch_output(unit.name) if unit.links else features(unit.end)]
        classes = self.step.data.classes
        networks = self.step.networks
        return HeadSimulation(self.memory, self.costs, head, networks, source, *sizes, grads, classes, order).run()

    def _backward(self, i: Instruction) -> None:
        network = self.step.networks[f"block{i.block}"]
        incoming = self.values[cotangent(i.block, i.start)]
        found = tapes.backward(
            self.memory, self.costs, self.tapes[tape(i.block)], incoming, self._grads(network), "",
            retain=i.retain, input_grad=i.start < i.block,
        )  # fmt: skip
        if found is not None:
            self._accumulate(cotangent(i.block - 1, i.start), found)

    def _step(self, i: Instruction) -> None:
        self.memory.drop(*self.grads.pop(i.group, {}).values())

    def _ema_update(self, i: Instruction) -> None:
        """In place, nothing new."""

    def _free(self, i: Instruction) -> None:
        for name in i.values:
            for value in (name, f"{name}.input"):
                if value in self.values:
                    self.memory.drop(self.values.pop(value))
            if name in self.tapes:
                tapes.release(self.memory, self.tapes.pop(name))

    def _grads(self, network: Network) -> dict[str, Storage]:
        assert network.group is not None or not network.graph.parameters or network.prefix
        return self.grads.setdefault(network.group or "", {})

    def _accumulate(self, name: str, storage: Storage | None) -> None:
        """The value takes the storage, or the storage is added to it in place."""
        if storage is None:
            return
        if name in self.values:
            self.memory.drop(storage)
        else:
            self.values[name] = storage


def ran(link: LinkPlan) -> tuple[str, ...]:
    """The networks that a link runs, in order."""
    if link.bias is None:
        return (link.ema,)
    return (link.bias,) if link.mode == "parameter" else (link.bias, link.ema)


def resident(config: SpecModel, network: Network) -> dict[str, int]:
    """Bytes of a network's state, by category."""
    size = 4 * network.graph.parameter_count
    found = {"buffers": _buffer_bytes(network.graph)}
    if network.group is None:
        return found | {"EMA copies": size}
    state = config.train.optimizer.state_bytes(network.graph.parameters.values())
    return found | {"parameters": size, "optimizer state": state}


def resident_bytes(config: SpecModel, networks: Iterable[Network]) -> int:
    """Bytes of the networks' state."""
    return sum(size for network in networks for size in resident(config, network).values())


def batch_bytes(config: SpecModel, data: ResolvedData) -> int:
    """The batch as the step is given it: fp32 images and what is to be learnt of them."""
    return config.data.batch_size * TASKS[config.task].sample_bytes(data)


def _buffer_bytes(graph: Graph) -> int:
    return sum(4 * numel(shape) if shape else 8 for node in graph.nodes for shape in node.buffers.values())
