"""Whether a plan that was read from a file holds together: whatever it names is there, and every shape is what it says.

A plan of the compiler always does, and so does what one of several devices does of it. One from a file may say
anything, and whoever runs it relies on this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from ..graph.graph import IMAGES, INPUT
from ..graph.ops import Shape
from ..graph.sound import faults as graph_faults
from ..tasks.inputs import packed
from ..tasks.registry import TASKS
from .communication import Communication, Receive, ReceiveSources, Reduce, Send, SendSources
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
from .layout import Channel, Layout
from .model import HeadPlan, LinkPlan, Network, Plan, Unit
from .moving import Evict, Load
from .offloading import held_by
from .values import IMAGES as GIVEN_IMAGES
from .values import LABELS, of_slice
from .whereabouts import Whereabouts


def read(text: str) -> Plan:
    """The plan in a file that anybody may have written; `ValueError` where it is none that could be run."""
    plan = Plan.from_json(text)
    try:
        wrong = "it is one device's part of a plan" if plan.layout is not None else next(faults(plan), None)
    except (ArithmeticError, AssertionError, LookupError, TypeError) as error:  # of ops, given shapes of anything
        raise ValueError(f"no plan was written like this: {error!r}") from error
    if wrong is not None:
        raise ValueError(f"no plan was written like this: {wrong}")
    return plan


def faults(plan: Plan) -> Iterator[str]:
    """What is wrong with it."""
    if plan.layout is not None and (wrong := _misplaced(plan, plan.layout)):
        yield wrong
        return
    yield from _data(plan)
    yield from _networks(plan)
    yield from _blocks(plan)
    for unit in plan.units:
        yield from (f"{unit.name}: {wrong}" for wrong in _unit(plan, unit))
    yield from _step(plan)


def _misplaced(plan: Plan, layout: Layout) -> str | None:
    """Stages are successive runs of blocks, and a rank is one of those that there are."""
    if layout.copies < 1 or not 0 <= layout.rank < layout.count:
        return f"there is no rank {layout.rank} of {layout.count}"
    if layout.stages[0] != 0 or any(one >= other for one, other in pairwise(layout.stages)):
        return "its stages do not follow one another"
    after = (*layout.stages, layout.stages[-1] + len(plan.blocks))[layout.stage + 1]
    if len(plan.blocks) != after - first_block(plan):
        return "it has other blocks than those of its stage"
    ends = {(each.source, each.to) for each in layout.channels}
    if any(one == other or not {one, other} <= set(range(len(layout.stages))) for one, other in ends):
        return "a channel is between stages that are not there"
    return None


def first_block(plan: Plan) -> int:
    """The number of the first block that is here."""
    return 0 if plan.layout is None else plan.layout.stages[plan.layout.stage]


def _is_first(plan: Plan) -> bool:
    return plan.layout is None or plan.layout.stage == 0


def _is_last(plan: Plan) -> bool:
    return plan.layout is None or plan.layout.last


def _data(plan: Plan) -> Iterator[str]:
    data, asked = plan.data, plan.config.data
    if data.name != asked.dataset or min(*data.shape, data.classes) < 1:
        yield f"there is no data set `{data.name}` with images of {data.shape}"
    if not re.fullmatch("[0-9a-f]*", data.files):
        yield "the hash of the images' names is none"
    if data.parts and (data.shape != packed(data.parts) or data.parts != getattr(plan.config.backbone, "inputs", ())):
        yield "the inputs are not the parts of a sample"
    if {len(data.mean), len(data.std)} != {1 if data.parts else 0 if data.vocabulary else data.shape[0]}:
        yield "the images have other channels than their statistics"
    if plan.blocks and _is_last(plan) and plan.blocks[-1].output != TASKS[plan.config.task].output.shape(data):
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
        known = {INPUT, IMAGES} | {skip.name for skip in part.reads}
        for node in part.nodes:
            known.add(node.name)
            if not known.issuperset(node.inputs):
                yield f"a piece of `{network.name}` reads more than the one before it hands on"
                return


def _blocks(plan: Plan) -> Iterator[str]:
    shape = plan.blocks[0].input if plan.blocks and not _is_first(plan) else plan.data.shape
    for index, block in enumerate(plan.blocks, first_block(plan)):
        network = plan.networks.get(block.name)
        if network is None or block.index != index or block.name != f"block{index}":
            yield f"there is no block{index} where `{block.name}` stands"
        elif (network.graph.input, network.graph.shape) != (shape, block.output) or block.input != shape:
            yield f"`{block.name}` does not take what the block before it gives"
        shape = block.output
    yield from _beside(plan)
    if not plan.blocks:
        yield "it has no blocks"


def _beside(plan: Plan) -> Iterator[str]:
    """Blocks read what crosses cuts as blocks before give it; nothing else does."""
    known: dict[str, Shape] = {}
    of_blocks = {block.name for block in plan.blocks}
    for name, network in plan.networks.items():
        if name not in of_blocks and any(graph.reads or graph.gives for graph in network.graphs):
            yield f"`{name}` is no block, and reads or gives more than features"
    for name in (block.name for block in plan.blocks if block.name in plan.networks):
        graph = plan.networks[name].graph
        foreign = first_block(plan) > 0  # of a rank, whose skips may come from another one
        if any(known.get(skip.name, skip.shape if foreign else None) != skip.shape for skip in graph.reads):
            yield f"`{name}` reads what no block before it gives"
        known |= {node.name: node.shape for node in graph.nodes if node.name in (graph.output, *graph.gives)}


def _unit(plan: Plan, unit: Unit) -> Iterator[str]:
    first = first_block(plan)
    if not (0 <= unit.start <= unit.end and 0 <= unit.end - first < len(plan.blocks)):
        yield "it is of blocks that are not there"
        return
    block = plan.blocks[unit.end - first]
    shape = block.output
    if unit.read and block.name in plan.networks:
        if unit.read not in plan.networks[block.name].graph.gives:
            yield f"it reads `{unit.read}`, which its last block does not give"
            return
        shape = plan.networks[block.name].graph.shape_of(unit.read)
    for link in unit.links:
        yield from _link(plan, link, shape, _lent(plan, unit))
    for head in unit.heads:
        yield from _head(plan, head)


def _lent(plan: Plan, unit: Unit) -> dict[str, Shape]:
    """The tensors of another device that a unit averages, which have the shapes of its copies."""
    shapes = {name: shape for network in plan.networks.values() for name, shape in network.tensors.items()}
    copies = {source: copy for link in unit.links for copy, source in link.sources.items()}
    told = (each for each in plan.instructions if isinstance(each, ReceiveSources) and each.unit == unit.name)
    return {name: shapes[copies[name]] for each in told for name in each.tensors if copies.get(name) in shapes}


def _link(plan: Plan, link: LinkPlan, shape: Shape, lent: Mapping[str, Shape]) -> Iterator[str]:
    networks = [plan.networks.get(name) for name in (link.ema, link.bias) if name]
    if None in networks or any(network and network.graph.input != shape for network in networks):
        yield f"there is no `{link.ema}` or `{link.bias}` for its features"
    own = {name: shape for network in plan.networks.values() for name, shape in network.tensors.items()}
    shapes = {**lent, **own}
    for copy, source in link.sources.items():
        if copy not in shapes or shapes[copy] != shapes.get(source):
            yield f"`{copy}` is no copy of `{source}`"
    if link.source_block not in plan.networks and not set(link.sources.values()) <= lent.keys():
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
    alive = {of_slice(name, i) for i in slices for name in (GIVEN_IMAGES, LABELS)} if _is_first(plan) else set()
    given: dict[int, Forward] = {}
    away: list[str] = []
    whereabouts = Whereabouts(plan, away.append)
    for position, instruction in enumerate(plan.instructions):
        if not _is_about_something(plan, instruction) or instruction.slice not in slices:
            yield f"instruction {position} is about something that is not there"
            continue
        whereabouts.see(instruction)
        yield from (f"instruction {position}: {wrong}" for wrong in away)
        away.clear()
        if missing := _needed(instruction) - alive:
            yield f"instruction {position} reads `{min(missing)}`, which is not there"
        alive |= {name for name in instruction.writes if ":" not in name}
        if isinstance(instruction, Free):
            alive -= set(instruction.values)
        if isinstance(instruction, Forward):
            given[instruction.slice] = instruction
    last = first_block(plan) + len(plan.blocks) - 1
    yield from whereabouts.left_over()
    if any(i not in given or given[i].block != last for i in slices):
        yield "not all blocks are run"
    elif _is_last(plan) and any(given[i].output not in alive for i in slices):
        yield "the step does not end with the network's output"


def _needed(instruction: Instruction) -> set[str]:
    """The values that have to be there; a gradient that is added to may be the first one."""
    if isinstance(instruction, Free):
        return set(instruction.values)
    if isinstance(instruction, Extension):
        return set()  # of a package, which knows better
    if isinstance(instruction, Receive):
        return {instruction.value} if instruction.adds else set()
    added = {getattr(instruction, "gradient", None)}
    if isinstance(instruction, Backward):
        added |= {outlet.gradient for outlet in instruction.outlets}
    return {name for name in instruction.reads if ":" not in name} - added


def _crosses(plan: Plan, forward: Forward) -> bool:
    """Whether a forward reads and gives as many values as its block."""
    graph = plan.networks[f"block{forward.block}"].graph
    return (len(forward.skips), len(forward.gives)) == (len(graph.reads), len(graph.gives))


def _is_about_something(plan: Plan, instruction: Instruction) -> bool:
    blocks = range(first_block(plan), first_block(plan) + len(plan.blocks))
    match instruction:
        case Backward(block=block, start=start, trains=trains):
            return 0 <= start <= block and block in blocks and set(trains) <= plan.groups.keys()
        case Forward(block=block):
            return block in blocks and _crosses(plan, instruction)
        case Head(unit=unit, head=head):
            return unit in plan.by_unit and head in {each.name for each in plan.by_unit[unit].heads}
        case Branch(unit=unit) | BranchBackward(unit=unit) | EmaUpdate(unit=unit):
            return unit in plan.by_unit and bool(plan.by_unit[unit].links)
        case Step(group=group):
            return group in plan.groups
        case Load(state=state) | Evict(state=state):
            return state in held_by(plan).states and getattr(instruction, "then", None) in {None, *held_by(plan).states}
        case Reduce() | Send() | Receive() | SendSources() | ReceiveSources():
            return plan.layout is not None and _is_to_somebody(plan, plan.layout, instruction)
    return True


def _is_to_somebody(plan: Plan, layout: Layout, instruction: Communication) -> bool:
    """What moves is here or for here, and goes along a channel that there is; sums are over copies."""
    match instruction:
        case Reduce(group=group):
            return layout.copies > 1 and group in plan.groups
        case Send(to=to):
            return Channel(layout.stage, to) in layout.channels
        case Receive(source=source):
            return Channel(source, layout.stage) in layout.channels
        case SendSources(to=to, tensors=tensors):
            own = {name for network in plan.networks.values() for name in network.tensors}
            return Channel(layout.stage, to, "sources") in layout.channels and own.issuperset(tensors)
        case ReceiveSources(source=source, unit=unit, tensors=tensors):
            links = plan.by_unit[unit].links if unit in plan.by_unit else ()
            averaged = {name for link in links for name in link.sources.values()}
            return Channel(source, layout.stage, "sources") in layout.channels and averaged.issuperset(tensors)
