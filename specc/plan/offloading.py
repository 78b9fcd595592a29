"""Where parameters that live on the host come to the device and leave it: around all that uses them in a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..graph.ops import numel
from ..spec.sections.offload import Part
from .communication import Reduce, SendSources
from .instructions import EmaUpdate, Instruction, Step
from .model import Network, Plan, Unit
from .moving import Evict, Load, Moving

PARAMETERS, AVERAGES = "params:", "ema:"
BYTES = 4  # of a parameter where a step is in fp32, as predictions have it


@dataclass(frozen=True, slots=True)
class Held:
    """What lives on the host, by `params:GROUP` or `ema:UNIT`: the networks whose parameters these are."""

    states: Mapping[str, tuple[str, ...]]
    lent: bool  # whether the device has them for their turn only
    scales: Mapping[str, int] = field(default_factory=dict)  # how many numbers of `scaled` links are beside them

    def __bool__(self) -> bool:
        return bool(self.states)

    def sizes(self, state: str, networks: Mapping[str, Network]) -> list[int]:
        """Bytes of each of its parameters."""
        shapes = [shape for name in self.states[state] for shape in networks[name].graph.parameters.values()]
        return [BYTES * numel(shape) for shape in (*shapes, *[()] * self.scales.get(state, 0))]

    @property
    def networks(self) -> frozenset[str]:
        """All of them."""
        return frozenset(name for names in self.states.values() for name in names)


NOTHING = Held({}, lent=False)


def held(offload: Collection[Part], networks: Mapping[str, Network], units: Sequence[Unit]) -> Held:
    """What of a step's state is on the host.

    Where that is the optimizer's alone, it is the parameters as the optimizer knows them, which the device has
    throughout as well; averaged copies have none.
    """
    if not offload:
        return NOTHING
    states: dict[str, list[str]] = {}
    for network in networks.values():
        if network.group is not None and network.graph.parameters:
            states.setdefault(PARAMETERS + network.group, []).append(network.name)
    lent = "parameters" in offload
    if lent:
        for unit in units:
            copied = [link.ema for link in unit.links if networks[link.ema].graph.parameters]
            states |= {AVERAGES + unit.name: copied} if copied else {}
    scales = Counter(f"{PARAMETERS}{link.bias}" for unit in units for link in unit.links if link.scale)
    return Held({state: tuple(names) for state, names in states.items()}, lent, scales)


def held_by(plan: Plan) -> Held:
    """What of a plan's state is on the host."""
    return held(plan.config.train.offload, plan.networks, plan.units)


def with_moves(ordered: Sequence[Instruction], held: Held) -> Iterator[Instruction]:
    """The instructions, with a load before the first that uses what is on the host, and an evict after the last.

    So everything moves once each way. Sums over copies of the network go on until just before the step.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    steps = {PARAMETERS + each.group: i for i, each in enumerate(ordered) if isinstance(each, Step)}
    for i, each in enumerate(ordered):
        for state in used(each, lent=held.lent) & held.states.keys():
            first.setdefault(state, i)
            last[state] = steps[state] - 1 if isinstance(each, Reduce) and state in steps else i
    loads = sorted(first, key=lambda state: (first[state], state))
    then = dict(pairwise((*loads, None)))
    for i, each in enumerate(ordered):
        yield from (Load(state=state, then=then[state]) for state in loads if first[state] == i)
        yield each
        yield from (Evict(state=state) for state in loads if last[state] == i)


def without_moves(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    """The instructions that there would be if all were on the device."""
    return (each for each in instructions if not isinstance(each, Moving))


def used(instruction: Instruction, *, lent: bool) -> frozenset[str]:
    """What it needs on the device: nothing where it works on what lives on the host.

    Averaged copies live there where parameters are `lent` to the device.
    """
    if isinstance(instruction, Step | SendSources) or (isinstance(instruction, EmaUpdate) and lent):
        return frozenset()
    if isinstance(instruction, Reduce):
        return frozenset({PARAMETERS + instruction.group})
    return frozenset(name for name in instruction.reads | instruction.writes if name.startswith((PARAMETERS, AVERAGES)))


def moved_bytes(plan: Plan) -> tuple[int, int]:
    """Bytes that come to the device in a step, and bytes that leave it: the parameters, and their gradients.

    Those that no gradient comes to do not leave it, and averaged copies do not either.
    """
    own = held_by(plan)
    coming = {state: sum(own.sizes(state, plan.networks)) for state in own.states}
    stepped = {PARAMETERS + each.group for each in plan.instructions if isinstance(each, Step)}
    loaded = [each.state for each in plan.instructions if isinstance(each, Load)]
    evicted = [each.state for each in plan.instructions if isinstance(each, Evict)]
    return sum(coming[state] for state in loaded), sum(coming[state] for state in evicted if state in stepped)
