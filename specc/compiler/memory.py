"""Pass 6: predict the memory of one step by walking the instructions with a pretend allocator. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..backbone.graph import Graph
from ..backbone.ops import Shape, numel
from ..datasets import DatasetInfo
from ..plan import (
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
from ..spec.models import Optimizer, Sgd, SpecModel
from . import tape as tapes
from .allocator import Allocator, Storage
from .draft import Draft
from .head_memory import HeadSimulation

LOW_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


def measure(draft: Draft) -> Draft:
    """Predict the timeline of one step."""
    return draft.having(memory=Simulation(step_of(draft)).run())


@dataclass(frozen=True)
class Step:
    """What a simulation looks at, of a plan in the making or of a finished one."""

    config: SpecModel
    data: DatasetInfo
    networks: Mapping[str, Network]
    units: tuple[Unit, ...]
    instructions: tuple[Instruction, ...]


def step_of(draft: Draft) -> Step:
    """The step of a scheduled draft."""
    return Step(draft.spec.config, draft.info, draft.networks, draft.units, draft.instructions)


def as_traced(plan: Plan) -> Memory:
    """The plan's memory as a trace sees it: under torch's dispatch modes gradients are never added to in place."""
    step = Step(plan.config, plan.data, plan.networks, plan.units, plan.instructions)
    return Simulation(step, traced=True).run()


def first_difference(predicted: Memory, traced: Sequence[int], tolerance: float = 0.01) -> Moment | None:
    """The first instruction whose prediction is off by more than `tolerance` of the trace."""
    pairs = zip(predicted.timeline, traced, strict=True)
    return next((moment for moment, found in pairs if abs(moment.bytes - found) > tolerance * found), None)


class Simulation:
    """One training step, from the second on (momentum exists), under a pretend allocator."""

    def __init__(self, step: Step, source: Shape | None = None, *, traced: bool = False) -> None:
        self.step = step
        self.source = source  # shape of what the first block reads, where that is not the images
        self.resident = 0  # bytes that live throughout
        config = step.config
        self.costs = tapes.Costs(config.data.batch_size, LOW_BYTES[config.train.precision], traced)
        self.units = {unit.name: unit for unit in step.units}
        self.memory = Allocator()
        self.values: dict[str, Storage] = {}
        self.tapes: dict[str, tapes.Tape] = {}
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
        return Memory(top.bytes, top.instruction, top.categories, tuple(moments))

    def _resident(self) -> None:
        """What lives through the whole step: parameters, their optimizer state, averages, buffers, the batch."""
        config, batch = self.step.config, self.costs.batch
        for network in self.step.networks.values():
            for category, size in resident(config, network).items():
                self.memory.new(size, category)
        self.memory.new(8 * batch, "inputs")  # labels
        assert self.step.data.shape is not None
        images = self.memory.new(4 * numel(self.step.data.shape) * batch, "inputs")
        self.resident = self.memory.total
        self.values[features(-1)] = images if self.source is None else self._features(self.source)

    def _features(self, shape: Shape) -> Storage:
        width = self.costs.low
        return self.memory.new(numel(shape) * self.costs.batch * width, "activations", width)

    def _forward(self, i: Instruction) -> None:
        network = self.step.networks[f"block{i.block}"]
        source = self.values[features(i.block - 1)]
        out, recorded = tapes.forward_in_pieces(
            self.memory, self.costs, network, source, record=i.needs_grad, input_grad=i.input_grad
        )
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
        outputs = [out for link in unit.links for out in self._link(link, source)]
        total = outputs[0] if len(outputs) == 1 else self.memory.new(outputs[0].bytes, "activations", outputs[0].width)
        self.memory.drop(*(out for out in outputs if out is not total))
        self.values[branch_output(unit.name)] = total

    def _link(self, link: LinkPlan, source: Storage) -> Iterator[Storage]:
        """The outputs that a link adds up; a `parameter` link runs once, on sums of averages and offsets."""
        if link.mode == "parameter":
            count = self.step.networks[link.ema].graph.parameter_count
            self.values[f"{link.ema}.sums"] = self.memory.new(4 * count, "parameters")
        for name in ran(link):
            network = self.step.networks[name]
            out, self.tapes[name] = tapes.forward(
                self.memory, self.costs, network.graph, source,
                record=True, trainable=network.group is not None, input_grad=True,
            )  # fmt: skip
            yield out

    def _branch_backward(self, i: Instruction) -> None:
        unit = self.units[i.unit]
        incoming = self.values[branch_cotangent(unit.name)]
        for link in reversed(unit.links):
            for name in reversed(ran(link)):
                network = self.step.networks[name]
                found = tapes.backward(
                    self.memory, self.costs, self.tapes.pop(name), incoming, self._grads(network), network.prefix,
                    input_grad=True,
                )  # fmt: skip
                self._accumulate(cotangent(unit.end, unit.start), found)
            if link.mode == "parameter":
                self.memory.drop(self.values.pop(f"{link.ema}.sums"))

    def _head(self, i: Instruction) -> None:
        unit = self.units[i.unit]
        head = next(h for h in unit.heads if h.name == i.head)
        networks = [self.step.networks[name] for name in head.networks]
        source = self.values[branch_output(unit.name) if unit.links else features(unit.end)]
        assert self.step.data.shape is not None
        grads = self.grads.setdefault(f"{unit.name}.{head.name}", {})
        sizes = numel(unit.feature), numel(self.step.data.shape)
        gradient = HeadSimulation(self.memory, self.costs, head, networks, source, *sizes, grads).run()
        self._accumulate(branch_cotangent(unit.name) if unit.links else cotangent(unit.end, unit.start), gradient)

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
    return found | {"parameters": size, "optimizer state": optimizer_bytes(config.train.optimizer, network.graph)}


def resident_bytes(config: SpecModel, networks: Iterable[Network]) -> int:
    """Bytes of the networks' state."""
    return sum(size for network in networks for size in resident(config, network).values())


def optimizer_bytes(optimizer: Optimizer, graph: Graph) -> int:
    """State of the fused optimizers: SGD's momentum; AdamW's two averages, and a counter for every tensor."""
    count = graph.parameter_count
    if isinstance(optimizer, Sgd):
        return 4 * count if optimizer.momentum else 0
    return 8 * count + 4 * len(graph.parameters)


def _buffer_bytes(graph: Graph) -> int:
    return sum(4 * numel(shape) if shape else 8 for node in graph.nodes for shape in node.buffers.values())
