"""Predicts the memory of one step: the training step on a machine of shapes, instruction by instruction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from ..graph.crossing import moved
from ..graph.graph import Graph
from ..graph.ops import Order, Shape, numel
from ..plan import Memory, Moment, Network, Plan, ReceiveSources, Unit
from ..plan.offloading import held_by
from ..plan.shards import Deal, deal_of, kept, staying
from ..plan.values import IMAGES, features, of_slice
from ..spec.models import SpecModel
from ..step.step import TrainingStep
from ..system.devices import Device
from ..tasks.datasets import ResolvedData
from .autograd import Value
from .machine import ShapeMachine, tensor_bytes
from .operation import Costs
from .shards import Shards
from .storage import Allocator

LOW_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
MakesStep = Callable[[ShapeMachine, Iterable[Unit], int], TrainingStep[Value]]


def predicted_for(plan: Plan, device: Device) -> Plan:
    """The plan with its memory predicted by the rules of a device."""
    if plan.memory.device == device:
        return plan
    return replace(plan, memory=Prediction(plan, device).run())


def as_traced(plan: Plan) -> Memory:
    """The plan's memory as a trace sees it: as on a CPU, where gradients are never added to in place."""
    return predicted_for(plan, "cpu").memory


def first_difference(predicted: Memory, traced: Sequence[int], tolerance: float = 0.01) -> Moment | None:
    """The first instruction whose prediction is off by more than `tolerance` of the trace."""
    pairs = zip(predicted.timeline, traced, strict=True)
    return next((moment for moment, found in pairs if abs(moment.bytes - found) > tolerance * found), None)


class Prediction:
    """One training step, from the second on (momentum exists), without numbers."""

    def __init__(
        self, plan: Plan, device: Device, memory: Allocator | None = None, kind: MakesStep = TrainingStep
    ) -> None:
        self.plan, self.device, config = plan, device, plan.config
        self.memory = memory or Allocator()
        swapped = plan.data.pixels_can_lie_apart and config.train.memory_format == "channels_last"
        self.order: Order = "swapped" if swapped else "plain"
        copies = plan.layout.copies if plan.layout and config.devices.sync_batch_norm else 1
        costs = Costs(LOW_BYTES[config.train.precision], traced=device == "cpu", copies=copies, swapped=swapped)
        self.costs = costs
        self.machine = ShapeMachine(
            self.memory, costs, plan.networks, plan.data.classes, config.views, config.train, held_by(plan)
        )
        self.deal = deal_of(plan.layout)
        if self.deal is not None:
            self.machine.shards = Shards(self.memory, self.deal, staying(plan))
        self.step = kind(self.machine, plan.units, config.train.micro_batches)
        self.step.layout = plan.layout
        self.resident = 0  # bytes that live throughout

    def begin(self, source: Shape | None = None) -> None:
        """What lives through the whole step; `source`: what the first block reads, where that is not the images."""
        config = self.plan.config
        for network in self.plan.networks.values():
            for category, size in resident(config, network, self.deal).items():
                self.memory.resident(size, category, network.name)
        for each in self.plan.instructions:
            if isinstance(each, ReceiveSources):
                self.memory.resident(lent_bytes(self.plan, each), "EMA copies", each.unit)
        self._on_its_way()
        batch, image, task = self.plan.batch, self.plan.data.shape, config.learns
        if self.plan.layout is not None and self.plan.layout.stage:
            self.resident = self.memory.total
            self.step.expect(config.data.batch_size)
            return
        target = task.target.shape(self.plan.data)
        images, labels = (self.memory.new(batch * n.bytes(self.plan.data), "inputs") for n in (task.input, task.target))
        self.resident = self.memory.total
        self.batch = Value(images, batch, image, self.order), Value(labels, batch, target, "plain")  # the caller's
        self.step.begin(*self.batch, config.data.batch_size)
        if source is not None:
            self._give(source)

    def _on_its_way(self) -> None:
        """What decoupled stages have sent in earlier steps and may still hold."""
        layout = self.plan.layout
        if layout is not None and layout.ahead:
            together = Prediction(replace(self.plan, layout=replace(layout, ahead=0)), self.device)
            together.run()
            self.memory.resident(layout.ahead * together.machine.sent_bytes, "activations", "sent")

    def _give(self, source: Shape) -> None:
        """What the first block reads of every slice."""
        for slice in range(self.step.slices):
            width, rows = self.costs.low, self.step.values[of_slice(IMAGES, slice)].rows
            storage = self.memory.new(numel(source) * rows * width, width=width)
            self.step.values[features(-1, slice)] = Value(storage, rows, source, self.order)

    def run(self, until: int | None = None, source: Shape | None = None) -> Memory:
        """The timeline of the whole step, or of its first `until` instructions."""
        self.begin(source)
        moments = []
        for i, instruction in enumerate(self.plan.instructions[:until]):
            self.memory.begin()
            self.step.run(instruction)
            if i + 1 == len(self.plan.instructions):
                self.output, self.labels = self.step.end(), self.step.received()
            moments.append(Moment(i, self.memory.highest, {k: v for k, v in self.memory.snapshot.items() if v}))
        top = max(moments, key=lambda moment: moment.bytes)
        return Memory(top.bytes, top.instruction, top.categories, tuple(moments), self.device)


def resident(config: SpecModel, network: Network, deal: Deal | None = None) -> dict[str, int]:
    """Bytes of a network's state, or of one copy's part of it, that are on the device throughout, by category."""
    graph, there = network.graph, config.train.offload
    size, own = (_parameter_bytes(shapes.values(), deal) for shapes in (graph.parameters, graph.trained))
    shapes = moved(graph.nodes, graph.results)
    found, throughout = {"buffers": _buffer_bytes(graph)}, size * ("parameters" not in there)
    if network.group is None:
        return found | {"EMA copies": throughout}
    state = 0 if there else config.train.optimizer.state_bytes(shapes if deal is None else [*map(deal.own, shapes)])
    average = own * (not there) + _statistics_bytes(graph)
    found |= {"parameters": throughout, "optimizer state": state}
    return found | ({"weight average": average} if config.train.weight_average else {})


def resident_bytes(config: SpecModel, networks: Iterable[Network]) -> int:
    """Bytes of the networks' state."""
    return sum(size for network in networks for size in resident(config, network).values())


def batch_bytes(config: SpecModel, data: ResolvedData) -> int:
    """The batch as the step is given it: fp32 images and what is to be learnt of them."""
    return config.data.batch_size * config.learns.sample_bytes(data)


def lent_bytes(plan: Plan, lent: ReceiveSources) -> int:
    """Of the tensors of another stage that a unit averages, which have the shapes of its copies."""
    links, shapes = plan.by_unit[lent.unit].links, dict[str, Shape]()
    for link in links:
        own = kept(plan.networks[link.ema], deal_of(plan.layout))
        shapes |= {source: own[copy] for copy, source in link.sources.items()}
    return sum(map(tensor_bytes, (shapes[name] for name in lent.tensors)))


def _parameter_bytes(shapes: Collection[Shape], deal: Deal | None) -> int:
    """Of parameters, or of a copy's part of them."""
    return sum(4 * numel(shape) for shape in shapes) if deal is None else deal.part_bytes(shapes)


def _statistics_bytes(graph: Graph) -> int:
    """Of its buffers without counters."""
    return sum(4 * numel(shape) for node in graph.nodes for shape in node.buffers.values() if shape)


def _buffer_bytes(graph: Graph) -> int:
    return sum(node.op.buffer_bytes(*node.in_shapes) for node in graph.nodes)
