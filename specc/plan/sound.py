"""Whether a plan that was read from a file holds together: whatever it names is there, and every shape is what it says.

A plan of the compiler always does. One from a file may say anything, and whoever runs it relies on this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..graph.graph import IMAGES, INPUT
from ..graph.ops import Shape
from ..graph.sound import faults as graph_faults
from ..tasks.registry import TASKS
from .instructions import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Extension,
    Forward,
    Free,
    Head,
    Instruction,
    Step,
)
from .model import HeadPlan, LinkPlan, Network, Plan, Unit
from .values import IMAGES as GIVEN_IMAGES
from .values import LABELS, of_slice


def read(text: str) -> Plan:
    """The plan in a file that anybody may have written; `ValueError` where it is none that could be run."""
    plan = Plan.from_json(text)
    try:
        wrong = next(faults(plan), None)
    except (ArithmeticError, AssertionError, LookupError, TypeError) as error:  # of ops, given shapes of anything
        raise ValueError(f"no plan was written like this: {error!r}") from error
    if wrong is not None:
        raise ValueError(f"no plan was written like this: {wrong}")
    return plan


def faults(plan: Plan) -> Iterator[str]:
    """What is wrong with it."""
    yield from _data(plan)
    yield from _networks(plan)
    yield from _blocks(plan)
    for unit in plan.units:
        yield from (f"{unit.name}: {wrong}" for wrong in _unit(plan, unit))
    yield from _step(plan)


def _data(plan: Plan) -> Iterator[str]:
    data, asked = plan.data, plan.config.data
    if data.name != asked.dataset or min(*data.shape, data.classes) < 1:
        yield f"there is no data set `{data.name}` with images of {data.shape}"
    if not re.fullmatch("[0-9a-f]*", data.files):
        yield "the hash of the images' names is none"
    if {len(data.mean), len(data.std)} != {data.shape[0]}:
        yield "the images have other channels than their statistics"
    if plan.blocks and plan.blocks[-1].output != TASKS[plan.config.task].output.shape(data):
        yield "the network does not give what the task asks for"


def _networks(plan: Plan) -> Iterator[str]:
    for key, network in plan.networks.items():
        if key != network.name:
            yield f"`{key}` is the network `{network.name}`"
        yield from _pieces(network)
        for graph in network.graphs:
            yield from (f"{key}: {wrong}" for wrong in graph_faults(graph, plan.data.shape))
    names = [name for network in plan.networks.values() for name in network.tensors]
    if len(set(names)) != len(names):
        yield "two tensors have one name"


def _pieces(network: Network) -> Iterator[str]:
    """Pieces are all of a network, and of one only the one before is read."""
    sizes = [piece.nodes for piece in network.pieces]
    if sizes and (min(sizes) < 1 or sum(sizes) != len(network.graph.nodes)):
        yield f"the pieces of `{network.name}` are not all of it"
        return
    for part, _ in network.parts(network.graph):
        known = {INPUT, IMAGES}
        for node in part.nodes:
            known.add(node.name)
            if not known.issuperset(node.inputs):
                yield f"a piece of `{network.name}` reads more than the one before it hands on"
                return


def _blocks(plan: Plan) -> Iterator[str]:
    shape = plan.data.shape
    for index, block in enumerate(plan.blocks):
        network = plan.networks.get(block.name)
        if network is None or block.index != index or block.name != f"block{index}":
            yield f"there is no block{index} where `{block.name}` stands"
        elif (network.graph.input, network.graph.shape) != (shape, block.output) or block.input != shape:
            yield f"`{block.name}` does not take what the block before it gives"
        shape = block.output
    if not plan.blocks:
        yield "it has no blocks"


def _unit(plan: Plan, unit: Unit) -> Iterator[str]:
    if not 0 <= unit.start <= unit.end < len(plan.blocks):
        yield "it is of blocks that are not there"
        return
    shape = plan.blocks[unit.end].output
    for link in unit.links:
        yield from _link(plan, link, shape)
    for head in unit.heads:
        yield from _head(plan, head)


def _link(plan: Plan, link: LinkPlan, shape: Shape) -> Iterator[str]:
    networks = [plan.networks.get(name) for name in (link.ema, link.bias) if name]
    if None in networks or any(network and network.graph.input != shape for network in networks):
        yield f"there is no `{link.ema}` or `{link.bias}` for its features"
    shapes = {name: shape for network in plan.networks.values() for name, shape in network.tensors.items()}
    for copy, source in link.sources.items():
        if copy not in shapes or shapes[copy] != shapes.get(source):
            yield f"`{copy}` is no copy of `{source}`"
    if link.source_block not in plan.networks:
        yield f"there is no `{link.source_block}`"


def _head(plan: Plan, head: HeadPlan) -> Iterator[str]:
    count = len(head.networks)
    if head.patches is not None and (not count or head.patches.grid[0] * head.patches.grid[1] != count):
        yield f"the head `{head.name}` has not one network for each of its patches"
    if (head.patches is None and count > 1) or len(head.variants) not in (0, count):
        yield f"the head `{head.name}` has more networks than it runs"
        return
    for name, variant in head.runs:
        if name not in plan.networks or not 0 <= variant < len(plan.networks[name].graphs):
            yield f"the head `{head.name}` runs `{name}`, which is not there"


def _step(plan: Plan) -> Iterator[str]:
    """Instructions are about what there is, and read what earlier ones have made."""
    slices = range(plan.config.train.micro_batches)
    alive = {of_slice(name, i) for i in slices for name in (GIVEN_IMAGES, LABELS)}
    given: dict[int, Forward] = {}
    for position, instruction in enumerate(plan.instructions):
        if not _is_about_something(plan, instruction) or instruction.slice not in slices:
            yield f"instruction {position} is about something that is not there"
            continue
        if missing := _needed(instruction) - alive:
            yield f"instruction {position} reads `{min(missing)}`, which is not there"
        alive |= {name for name in instruction.writes if ":" not in name}
        if isinstance(instruction, Free):
            alive -= set(instruction.values)
        if isinstance(instruction, Forward):
            given[instruction.slice] = instruction
    if any(i not in given or given[i].block != len(plan.blocks) - 1 or given[i].output not in alive for i in slices):
        yield "the step does not end with the network's output"


def _needed(instruction: Instruction) -> set[str]:
    """The values that have to be there; a gradient that is added to may be the first one."""
    if isinstance(instruction, Free):
        return set(instruction.values)
    if isinstance(instruction, Extension):
        return set()  # of a package, which knows better
    return {name for name in instruction.reads if ":" not in name} - {getattr(instruction, "gradient", None)}


def _is_about_something(plan: Plan, instruction: Instruction) -> bool:
    match instruction:
        case Backward(block=block, start=start, trains=trains):
            return 0 <= start <= block < len(plan.blocks) and set(trains) <= plan.groups.keys()
        case Forward(block=block):
            return 0 <= block < len(plan.blocks)
        case Head(unit=unit, head=head):
            return unit in plan.by_unit and head in {each.name for each in plan.by_unit[unit].heads}
        case Branch(unit=unit) | BranchBackward(unit=unit) | EmaUpdate(unit=unit):
            return unit in plan.by_unit and bool(plan.by_unit[unit].links)
        case Step(group=group):
            return group in plan.groups
    return True
