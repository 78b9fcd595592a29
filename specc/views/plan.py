"""A plan as people and machines read it: the table of units, and one JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ..graph.graph import BackboneGraph, Layer, Node
from ..graph.ops import show
from ..language.schema import show_bytes
from ..memory.prediction import as_traced, first_difference
from ..plan import (
    Backward,
    Block,
    Branch,
    BranchBackward,
    EmaUpdate,
    Forward,
    Head,
    HeadPlan,
    Instruction,
    LinkPlan,
    Plan,
    Unit,
)
from ..plan.parameters import frozen_count, parameter_counts
from ..profiles import Profile
from ..timing import StepTime
from . import Column, Table, table
from .device import device_document
from .margin import margin_documents
from .step_time import seconds_shown, time_document

FORMAT_VERSION = 1


def plan_table(plan: Plan, time: StepTime | None = None) -> Table:
    """One row a unit, with its time where a device is known."""
    title = f"{plan.name}: {len(plan.blocks)} blocks, {len(plan.units)} units"
    alone = len({unit.name.partition(".")[2] for unit in plan.units}) == 1  # a level that need not be named

    def brief(name: str) -> str:
        return name.removeprefix("unit").partition(".")[0] if alone else name.removeprefix("unit")

    left = (
        Column("unit", brief=brief, shortens="middle", least=12),
        "blocks",
        Column("layers", shortens="middle", least=17),
        "features",
        Column("heads", wraps=True, shortens="middle", stacks=2),
        Column("links", wraps=True, shortens="middle", stacks=1),
    )
    right: tuple[str | Column, ...] = (Column("parameters", right=True, brief_name="params"), "MFLOPs", "peak")
    right += ("time",) if time else ()
    return table(title, left, right, (_row(plan, unit, time) for unit in plan.units))


def _row(plan: Plan, unit: Unit, time: StepTime | None) -> Iterator[str]:
    first, last = plan.blocks[unit.start], plan.blocks[unit.end]
    yield unit.name
    yield str(unit.start) if unit.start == unit.end else f"{unit.start}-{unit.end}"
    yield first.layers[0] if first.layers[0] == last.layers[-1] else f"{first.layers[0]} … {last.layers[-1]}"
    yield show(unit.feature)
    yield ", ".join(_head(head) for head in unit.heads)
    yield ", ".join(f"ema of {copied_layers(plan, link)}, bias {link.mode}" for link in unit.links) or "–"
    yield f"{parameter_count(plan, unit):,}"
    yield f"{forward_flops(plan, unit) / 1e6:,.1f}"
    yield show_bytes(unit_peak(plan, unit))
    if time is not None:
        yield seconds_shown(unit_seconds(plan, unit, time))


def copied_layers(plan: Plan, link: LinkPlan) -> str:
    """The layers that are copied: the copy's ops are a run of those of the block."""
    block = next(b for b in plan.blocks if b.name == link.source_block)
    copies, originals = plan.networks[link.ema].graph.nodes, [n.name for n in plan.networks[block.name].graph.nodes]
    at, own = _averaged(link, copies)
    start = originals.index(own) - at
    ops = originals[start : start + len(copies)]
    names = [layer for op in ops if (layer := layer_of(block, op))] or [own]
    first, last = names[0], names[-1]
    return first if first == last else f"{first} … {last}"


def _averaged(link: LinkPlan, copies: Sequence[Node]) -> tuple[int, str]:
    """An op of the copy that is averaged, by its place, and the name of the one in the backbone."""
    found = ((n, node.name, p) for n, node in enumerate(copies) for p in node.parameters)
    at, name, parameter = next(found)
    return at, link.sources[f"{link.ema}.{name}.{parameter}"].removesuffix(f".{parameter}")


def layer_of(block: Block, op: str) -> str:
    """The layer that an op is named after, the longer of `x` and `x.y`; traced models have ops named after none."""
    return max((layer for layer in block.layers if f"{op}.".startswith(f"{layer}.")), key=len, default="")


def _head(head: HeadPlan) -> str:
    patches = f" {head.patches.grid[0]}×{head.patches.grid[1]}" if head.patches else ""
    return f"{head.name}{patches} ×{head.weight:.3g}"


def auxiliary_networks(unit: Unit) -> list[str]:
    """Names of the networks that the unit adds to the backbone."""
    heads = [name for head in unit.heads for name in dict.fromkeys(head.networks)]
    return [*heads, *(name for link in unit.links for name in (link.ema, link.bias) if name)]


def parameter_count(plan: Plan, unit: Unit) -> int:
    """Parameters of the unit's blocks and auxiliary network, averaged copies included."""
    networks = [plan.blocks[k].name for k in range(unit.start, unit.end + 1)] + auxiliary_networks(unit)
    return sum(plan.networks[name].graph.parameter_count for name in networks)


def forward_flops(plan: Plan, unit: Unit) -> int:
    """FLOPs of one image's forward through the unit's blocks and auxiliary network."""
    blocks = sum(plan.networks[plan.blocks[k].name].graph.flops for k in range(unit.start, unit.end + 1))
    heads = sum(graph.flops for head in unit.heads for graph in head.graphs(plan.networks))
    links = sum(plan.networks[n].graph.flops for link in unit.links for n in (link.ema, link.bias) if n)
    return blocks + heads + links


def unit_peak(plan: Plan, unit: Unit) -> int:
    """The most bytes alive during any instruction that works for the unit."""
    moments = zip(plan.instructions, plan.memory.timeline, strict=True)
    return max((m.bytes for i, m in moments if serves(i, unit)), default=0)


def unit_seconds(plan: Plan, unit: Unit, time: StepTime) -> float:
    """Of all instructions that work for a unit; those that work for several count for each."""
    pairs = zip(plan.instructions, time.instructions, strict=True)
    return sum(seconds for instruction, seconds in pairs if serves(instruction, unit))


def serves(instruction: Instruction, unit: Unit) -> bool:
    """Whether an instruction works for a unit."""
    match instruction:
        case Backward():
            return instruction.start == unit.start and instruction.block <= unit.end
        case Forward():
            return unit.start <= instruction.block <= unit.end
        case Head() | Branch() | BranchBackward() | EmaUpdate():
            return instruction.unit == unit.name
    return False


def _batch(plan: Plan) -> str:
    """How large the batch is, how it is divided, and in which order the slices go."""
    size, count = plan.config.data.batch_size, plan.config.train.micro_batches
    if count == 1:
        return f"batch {size}"
    blocks = [i.block for i in plan.instructions if isinstance(i, Forward)]
    return f"batch {size} in {count} slices, {'block by block' if blocks == sorted(blocks) else 'slice by slice'}"


def memory_lines(plan: Plan) -> Iterator[str]:
    """The predicted peak against the budget, and what it is made of."""
    budget = plan.config.budget
    against = f" of a budget of {show_bytes(budget.memory)}" if budget else ", no budget given"
    where = plan.instructions[plan.memory.peak_instruction]
    on = "a CPU" if plan.memory.device == "cpu" else "CUDA"
    yield f"predicted peak {show_bytes(plan.memory.peak_bytes)} on {on}{against}, at `{where}`"
    parts = sorted(plan.memory.categories.items(), key=lambda item: -item[1])
    yield "  " + ", ".join(f"{name} {show_bytes(size)}" for name, size in parts)
    count, frozen = parameter_counts(plan), frozen_count(plan)
    own = f" ({frozen:,} frozen)" if frozen else ""
    yield f"backbone {count['backbone']:,} parameters{own}, auxiliary networks {count['auxiliary']:,}; {_batch(plan)}"
    yield from unknown(plan)


def unknown(plan: Plan) -> Iterator[str]:
    """What of the memory the prediction does not know."""
    if plan.config.train.compile:
        yield ("`train.compile`: memory and time are those of the step as it is written; what is fused takes less, and "
               "maps that the compiler lays out anew may take more")  # fmt: skip
    if plan.config.train.graphs:
        yield "`train.graphs`: a captured step keeps its memory, and an evaluation takes its own beside it"


def trace_lines(plan: Plan, peaks: tuple[int, ...] | None) -> Iterator[str]:
    """The traced peak beside the predicted one, and where they first part by more than 1 %."""
    if peaks is None:
        return
    predicted = as_traced(plan)
    error = predicted.peak_bytes / max(peaks) - 1
    yield f"traced peak {show_bytes(max(peaks))}: under the rules of a trace the prediction is off by {error:+.2%}"
    apart = first_difference(predicted, peaks)
    if apart is not None:
        where, found = plan.instructions[apart.instruction], peaks[apart.instruction]
        yield f"first over 1 %: `{where}`, predicted {show_bytes(apart.bytes)}, traced {show_bytes(found)}"


def graph_table(graph: BackboneGraph, blocks: Sequence[Block]) -> Table:
    """One row a layer."""
    owner = {layer: block.index for block in blocks for layer in block.layers}
    rows = (_layer_row(layer, owner[layer.name], _cut_after(graph, layer)) for layer in graph.layers)
    left = ("block", Column("layer", shortens="middle", least=16, heads=True), Column("ops", wraps=True, stacks=1),
            Column("output", stacks=2))  # fmt: skip
    right = (Column("parameters", right=True, brief_name="params"), "MFLOPs", Column("cut after", brief_name="cut"))
    return table(None, left, right, rows, whole="a wider terminal, or a pipe")


def _cut_after(graph: BackboneGraph, layer: Layer) -> str:
    """Whether a block may end with a layer, and how many tensors cross such a cut beside what the layer gives."""
    if layer.name not in graph.cuts:
        return "–"
    beside = len(graph.alive_after(graph.index[layer.name])) - 1
    return f"yes, +{beside}" if beside else "yes"


def _layer_row(layer: Layer, block: int, cut: str) -> Iterator[str]:
    ops = Counter(node.op.name for node in layer.nodes)
    yield from (str(block), layer.name, ", ".join(f"{n}× {op}" if n > 1 else op for op, n in ops.items()))
    yield show(layer.shape)
    yield f"{sum(node.parameter_count for node in layer.nodes):,}"
    yield f"{sum(node.flops for node in layer.nodes) / 1e6:,.1f}"
    yield cut


def plan_document(
    plan: Plan, peaks: tuple[int, ...] | None = None, profile: Profile | None = None, time: StepTime | None = None
) -> dict[str, Any]:
    """The plan for machines."""
    budget = plan.config.budget
    return {
        "format_version": FORMAT_VERSION,
        "name": plan.name,
        "plan_fingerprint": plan.fingerprint,
        "after": [block.layers[-1] for block in plan.blocks[:-1]],
        "units": [_unit_document(plan, unit, time) for unit in plan.units],
        "memory": {
            "budget_bytes": budget.memory if budget else None,
            "device": plan.memory.device,
            "predicted_peak_bytes": plan.memory.peak_bytes,
            "traced_peak_bytes": max(peaks) if peaks else None,
            "margins": margin_documents(plan),
            "device_bytes": device_document(plan, profile),
            "peak_instruction": str(plan.instructions[plan.memory.peak_instruction]),
            "categories": dict(plan.memory.categories),
            "not_known": list(unknown(plan)),
        },
        "time": time_document(time),
        "timeline": timeline_documents(plan),
        "instructions": [str(instruction) for instruction in plan.instructions],
    }


def timeline_documents(plan: Plan) -> list[dict[str, Any]]:
    """The most that is alive during each instruction, in order."""
    moments = zip(plan.instructions, plan.memory.timeline, strict=True)
    return [{"instruction": str(i), "bytes": m.bytes, "categories": dict(m.categories)} for i, m in moments]


def _unit_document(plan: Plan, unit: Unit, time: StepTime | None) -> dict[str, Any]:
    return {
        "name": unit.name,
        "level": unit.level,
        "blocks": list(range(unit.start, unit.end + 1)),
        "window": unit.end - unit.start + 1,
        "layers": [layer for k in range(unit.start, unit.end + 1) for layer in plan.blocks[k].layers],
        "features": list(unit.feature),
        "heads": [{"name": h.name, "loss": h.loss, "weight": h.weight} for h in unit.heads],
        "parameters": parameter_count(plan, unit),
        "flops": forward_flops(plan, unit),
        "peak_bytes": unit_peak(plan, unit),
        "seconds": unit_seconds(plan, unit, time) if time else None,
    }
