"""What a spec would take on so many devices, in every layout: memory and traffic of a device, and time of a step.

Rows of local learning are layouts that a run can have. Those of end-to-end training are there for comparison: the same
backbone on the same images, by data parallelism and as a pipeline. All of them are plans of ranks, whose memory is
predicted and whose steps are simulated; nothing is estimated by a formula that a plan could tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from ..compiler.variants import end_to_end_in_blocks
from ..graph.ops import BatchNorm
from ..layout import every_rank, stages_of
from ..layout.hosted import offloaded
from ..layout.pipelines import Arrange, bubble, gpipe, one_forward_one_backward
from ..layout.simulate import simulate
from ..layout.stages import block_seconds, crossed
from ..layout.timed import ranks_on
from ..layout.volume import volumes
from ..plan import Plan
from ..profiles import Profile
from ..spec.sections.devices import Devices
from ..spec.sections.offload import Part
from ..timing import step_time
from ..timing.events import Links

PARTS: tuple[Part, ...] = ("optimizer", "parameters")
SLICES, MOST = 4, 32  # for every stage of a pipeline, as Huang et al. (2019) have it; and of a batch in all
PIPELINES: dict[str, Arrange] = {"GPipe": gpipe, "1F1B": one_forward_one_backward}


@dataclass(frozen=True, slots=True)
class Row:
    """One layout: what the device takes that takes most of it, and how long a step is."""

    name: str
    local: bool  # learning; otherwise the network is trained end to end
    devices: Devices
    slices: int
    overrides: tuple[str, ...]  # what a spec says to have it; nothing where specc has no such layout
    peak: int
    activations: int
    sent: float  # bytes of a step
    total: float  # ... of all devices
    seconds: float
    images_per_second: float
    idle: float  # share of a step, of all devices together
    changes: tuple[str, ...]
    bubble: float | None = None  # by the formula, of a pipeline
    offload: tuple[Part, ...] = ()  # what lives on the host
    fits: bool | None = None  # whether the device's peak is within the budget; None: there is none
    pareto: bool = False


@dataclass(frozen=True, slots=True)
class Layouts:
    """All of them on so many devices."""

    count: int
    links: Links
    profile: Profile
    budget: int | None
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]  # why something is not among them
    samples: str  # what they are called


def layouts(plan: Plan, count: int, links: Links, profile: Profile) -> Layouts:
    """Every layout of a spec on so many devices."""
    search = _Search(plan, count, links, profile)
    rows = tuple(_marked(list(search.rows())))
    budget = plan.config.budget.memory if plan.config.budget else None
    return Layouts(count, links, profile, budget, rows, tuple(search.left_out), plan.config.samples)


class _Search:
    def __init__(self, plan: Plan, count: int, links: Links, profile: Profile) -> None:
        self.plan, self.count, self.links, self.profile = plan, count, links, profile
        self.batch, self.own = plan.config.data.batch_size, plan.config.train.micro_batches
        self.left_out: list[str] = []
        self._in_slices: dict[int, Plan | None] = {}
        self._costs: dict[int, list[float]] = {}

    def rows(self) -> Iterator[Row]:
        """Local learning, then what is trained end to end."""
        local = len(self.plan.blocks) > 1
        yield from self._copies(self.plan, local=local)
        for stages in self._stages():
            yield from self._blocks(stages)
        if self._hosted is not None and self._enough(self.count, self.own):
            yield from self._on_the_host(self._hosted, local=local)
        whole = self._whole(self.own) if len(self.plan.blocks) > 1 else None
        if whole is not None:
            yield from self._copies(whole, local=False)
        for stages in self._stages():
            yield from self._pipelines(stages)

    def _stages(self) -> Iterator[int]:
        """Numbers of stages that there are devices and blocks for, and images for the copies."""
        for stages in (n for n in range(2, self.count + 1) if self.count % n == 0):
            if stages > len(self.plan.blocks):
                self._leave(f"{stages} stages are more than {len(self.plan.blocks)} blocks")
            elif self._enough(self.count // stages, self.own):
                yield stages

    def _enough(self, copies: int, slices: int) -> bool:
        if self.batch // copies < slices:
            one = self.plan.config.learns.sample
            self._leave(f"{copies} copies of a batch of {self.batch} in {slices} slices have no {one} each")
            return False
        return True

    def _leave(self, why: str) -> None:
        if why not in self.left_out:
            self.left_out.append(why)

    @cached_property
    def _hosted(self) -> Plan | None:
        """The plan with parameters and the optimizer's state on the host, where it is none already and can be one."""
        train = self.plan.config.train
        if train.instructions:
            self._leave("what packages add to a step cannot be beside offload")
        return None if train.offload or train.instructions else offloaded(self.plan, PARTS)

    def _on_the_host(self, plan: Plan, *, local: bool) -> Iterator[Row]:
        """On copies and on stages that each have a host of their own, which is this device's at least."""
        name = f"data parallel {self.count}" if self.count > 1 else "one device"
        yield self._row(f"{name}, offloaded", plan, Devices(data_parallel=self.count), local=local)
        for stages in self._stages():
            copies = self.count // stages
            name = f"block parallel {stages}" + f" × data parallel {copies}" * (copies > 1)
            yield self._row(f"{name}, offloaded", plan, Devices(block_parallel=stages, data_parallel=copies))

    def _copies(self, plan: Plan, *, local: bool) -> Iterator[Row]:
        """Data parallel, with all of the state on every device, or a part of it."""
        if not self._enough(self.count, self.own):
            return
        name = f"data parallel {self.count}"
        yield self._row(name, plan, Devices(data_parallel=self.count), local=local)
        if plan.config.train.offload:
            self._leave("shards cannot be beside offload")
        elif self.count > 1:
            devices = Devices(data_parallel=self.count, shard=True)
            yield self._row(f"{name}, sharded", plan, devices, local=local)

    def _blocks(self, stages: int) -> Iterator[Row]:
        """Block parallel, beside copies where devices are left."""
        copies = self.count // stages
        name = f"block parallel {stages}" + f" × data parallel {copies}" * (copies > 1)
        together = Devices(block_parallel=stages, data_parallel=copies)
        yield self._row(name, self.plan, together)
        apart = together.model_copy(update={"mode": "decoupled"})
        if crossed(self.plan, stages_of(self._on(self.plan, apart), self._cost(self.plan))) is None:
            yield self._row(f"{name}, decoupled", self.plan, apart)
        else:
            self._leave("decoupled stages wait for none after them, and windows of blocks cross them")

    def _slices(self, stages: int, copies: int) -> int:
        return self.own if self.own > 1 else min(SLICES * stages, MOST, self.batch // copies)

    def _pipelines(self, stages: int) -> Iterator[Row]:
        """Of the network trained end to end, beside copies where devices are left."""
        copies = self.count // stages
        plan = self._whole(self._slices(stages, copies))
        devices = Devices(block_parallel=stages, data_parallel=copies)
        for kind, arrange in PIPELINES.items() if plan is not None else ():
            assert plan is not None
            name = f"{kind} {stages}" + f" × data parallel {copies}" * (copies > 1)
            yield self._row(name, plan, devices, arrange, local=False)

    def _whole(self, slices: int) -> Plan | None:
        """What is trained end to end, in so many slices."""
        if slices not in self._in_slices:
            self._in_slices[slices] = end_to_end_in_blocks(self.plan, slices)
        return self._in_slices[slices]

    def _row(
        self, name: str, plan: Plan, devices: Devices, arrange: Arrange | None = None, *, local: bool = True
    ) -> Row:
        own = self._on(plan, devices)
        plans = every_rank(own, stages_of(own, self._cost(plan)), arrange)
        ranks = ranks_on(plans, self.profile)
        went, moved = simulate(ranks, self.links), volumes(ranks)
        peak = max(own.memory.peak_bytes for own in plans)
        slices, stages = plan.config.train.micro_batches, devices.block_parallel
        budget = self.plan.config.budget
        return Row(
            name if local else f"{name}, end to end", local, devices, slices,
            tuple(self._overrides(plan, devices)) if local else (),
            peak, max(_activations(each) for each in plans), max(v.sent for v in moved), sum(v.sent for v in moved),
            went.step_seconds, went.images_per_second, sum(went.idle) / len(went.idle),
            tuple(self._changes(plan, devices, local=local)),
            bubble=bubble(stages, slices) if arrange else None, offload=tuple(plan.config.train.offload),
            fits=peak <= budget.memory if budget else None,
        )  # fmt: skip

    def _on(self, plan: Plan, devices: Devices) -> Plan:
        return replace(plan, config=plan.config.model_copy(update={"devices": devices}))

    def _overrides(self, plan: Plan, devices: Devices) -> Iterator[str]:
        said = devices.model_dump(exclude_defaults=True) or {"data_parallel": 1}
        offload = plan.config.train.offload
        yield f"devices={{{', '.join(f'{key}: {str(value).lower()}' for key, value in said.items())}}}"
        if offload != self.plan.config.train.offload:
            yield f"train.offload=[{', '.join(offload)}]"

    def _cost(self, plan: Plan) -> Sequence[float]:
        if id(plan) not in self._costs:
            self._costs[id(plan)] = block_seconds(plan, step_time(plan, self.profile).instructions)
        return self._costs[id(plan)]

    def _changes(self, plan: Plan, devices: Devices, *, local: bool) -> Iterator[str]:
        """What becomes of the numbers, against the spec on one device."""
        if not local and len(self.plan.units) > 1:
            yield "end-to-end gradients"
        slices = plan.config.train.micro_batches
        if slices != self.own and any(_normalises(plan)):
            yield f"batch norm sees {self.batch // slices} {plan.config.samples}"
        elif slices != self.own or devices.data_parallel > 1:
            yield "how sums are rounded"
        if devices.mode == "decoupled" and any(unit.links for unit in plan.units):
            yield f"averages of weights {devices.staleness} steps old"


def _activations(plan: Plan) -> int:
    return max((moment.categories.get("activations", 0) for moment in plan.memory.timeline), default=0)


def _normalises(plan: Plan) -> Iterator[bool]:
    graphs = (graph for network in plan.networks.values() for graph in network.graphs)
    return (isinstance(node.op, BatchNorm) for graph in graphs for node in graph.nodes)


def _marked(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows with the Pareto front of peak and time marked."""
    lowest, front = inf, set[int]()
    for row in sorted(
        rows, key=lambda each: (float(f"{each.seconds:.9g}"), each.peak)
    ):  # of equals, to the last digits
        if row.peak < lowest:
            lowest = row.peak
            front.add(id(row))
    return (replace(row, pareto=id(row) in front) for row in rows)
