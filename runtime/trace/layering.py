"""Nodes become layers: runs between places where a single value is alive, put together by the modules they are in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from specc.graph.choices import completes
from specc.graph.graph import INPUT, BackboneGraph, Layer, Node
from specc.graph.ops import Add, ClassToken, Concat, DType, PositionEmbedding, Shape
from specc.graph.ops.activation import Elementwise
from specc.graph.ops.normalization import Normalization
from specc.graph.ops.opaque import Opaque
from specc.graph.problems import Path

from .regions import common

NUMBER = re.compile(r"_\d+$")  # of another part that would have the same name
LIGHT = Normalization | Elementwise | ClassToken | PositionEmbedding
MOST = 4  # a module with more runs of weights than this is a list of layers, not a layer


@dataclass(slots=True)
class _Group:
    """Nodes on their way to a layer; `module` is "" where a node stands alone in a list."""

    name: str
    module: str
    nodes: list[Node] = field(default_factory=list)

    @property
    def around(self) -> str:
        """The list that it stands in."""
        return self.name.rpartition(".")[0]


def layered(
    image: Shape, nodes: Sequence[Node], lists: Set[str], where: Path = ("backbone",), dtype: DType = "float32"
) -> BackboneGraph:
    """The graph with layers called after modules; `lists` are the modules that only hold others in order."""
    runs = list(_runs(nodes))
    first = _tables(runs) if dtype == "int64" else 0
    parts = [[node for run in runs[:first] for node in run]] if first else []
    parts += [part for run in runs[first:] for part in _divided(run, lists)]
    groups = _gather(parts, lists | _long(parts))
    return BackboneGraph(image, tuple(_named(_attach(groups), where)), dtype=dtype)


def _tables(runs: Sequence[Sequence[Node]]) -> int:
    """How many runs at the beginning look up what tokens mean, and where they stand: together they are one layer."""
    working = next((i for i, run in enumerate(runs) if any(_weighty(n) and not _looks_up(n) for n in run)), len(runs))
    return max((i + 1 for i, run in enumerate(runs[:working]) if any(map(_looks_up, run))), default=0)


def _looks_up(node: Node) -> bool:
    """Whether it has numbers of its own that it does not compute with."""
    return isinstance(node.op, Opaque) and bool(node.op.weights) and not node.op.work


def _runs(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Nodes between places where only the value of the last one is read later; the batch is there all along."""
    last_read = {name: i for i, node in enumerate(nodes) for name in node.inputs if name != INPUT}
    start = furthest = 0
    reach = -1  # how far values made before the current node are read
    for i, node in enumerate(nodes):
        furthest = max(reach, last_read.get(node.name, i))
        if reach <= i:
            yield list(nodes[start : i + 1])
            start = i + 1
        reach = furthest


def _divided(run: list[Node], lists: Set[str]) -> list[list[Node]]:
    """A run through several modules in a list, module by module: it may be cut where several values cross.

    What has no weights goes with what comes after it, so that a module ends with its own value; norms, activations and
    additions go with what comes before.
    """
    around = common(node.name for node in run)
    if len(run) == 1 or (around and around not in lists):
        return [run]
    parts: list[tuple[str, list[Node]]] = []
    for node in run:
        module = _child(node.name, around)
        if not parts or parts[-1][0] != module:
            parts.append((module, []))
        parts[-1][1].append(node)
    found: list[list[Node]] = []
    waiting: list[Node] = []
    for _, nodes in parts:
        if found and not waiting and all(completes(node) or isinstance(node.op, Add) for node in nodes):
            found[-1] += nodes
        elif any(map(_weighty, nodes)):
            first, *others = _divided(nodes, lists)
            found += [[*waiting, *first], *others]
            waiting = []
        else:
            waiting += nodes
    if waiting and found:
        found[-1] += waiting
    return found if len(found) > 1 else [run]


def _child(name: str, around: str) -> str:
    """The module in a list that a node belongs to."""
    inner = name.removeprefix(f"{around}.") if around else name
    return inner.partition(".")[0]


def _weighty(node: Node) -> bool:
    """Whether the node does the work of a layer; norms, activations and embeddings go along with another one."""
    return bool(node.parameters) and not isinstance(node.op, LIGHT)


def _path(run: Sequence[Node]) -> str:
    """The innermost module around a run; a single node's own name.

    What is put together at the end of a run may be so by whoever reads it, in another module.
    """
    own = run[:-1] if len(run) > 1 and isinstance(run[-1].op, Concat) else run
    names = {node.name for node in own}
    path = common(name if (stem := NUMBER.sub("", name)) not in names else stem for name in names)  # parts of a module
    return path or common(node.name for node in own if _weighty(node))


def _long(runs: Sequence[Sequence[Node]]) -> set[str]:
    """The modules with more than `MOST` runs of weights, and the model itself."""
    count = Counter(module for run in runs if any(map(_weighty, run)) for module in _around(_path(run)))
    return {""} | {module for module, runs_of_weights in count.items() if runs_of_weights > MOST}


def _around(path: str) -> Iterator[str]:
    """``a.b``, ``a`` for ``a.b.c``."""
    while path := path.rpartition(".")[0]:
        yield path


def _gather(runs: Sequence[list[Node]], lists: Set[str]) -> list[_Group]:
    """Runs of one module together; a module in a list is no list itself."""
    groups: list[_Group] = []
    for run in runs:
        path = _path(run)
        module = next((m for m in reversed([path, *_around(path)]) if m not in lists), "")
        if len(run) == 1 and module == path:
            module = ""
        name = module or path or run[0].name
        if not groups or not module or groups[-1].module != module:
            groups.append(_Group(name, module))
        groups[-1].nodes += run
    return groups


def _attach(groups: Sequence[_Group]) -> list[_Group]:
    """Groups without weights join the one before; what leads from the features to the last layer joins that one."""
    weighty = [any(map(_weighty, group.nodes)) for group in groups]
    if not any(weighty):
        return list(groups)
    *_, previous, last = [-1, *(i for i, heavy in enumerate(weighty) if heavy)]
    found: list[_Group] = []
    waiting: list[Node] = []
    for i, group in enumerate(groups):
        alike = group.around == groups[previous].around and not waiting
        beside = alike and (bool(group.around) or all(map(completes, group.nodes)))
        if weighty[i]:
            found.append(_Group(group.name, group.module, [*waiting, *group.nodes]))
            waiting = []
        elif found and (beside or not previous < i < last):
            found[-1].nodes += group.nodes
        else:
            waiting += group.nodes
    return found


def _named(groups: Sequence[_Group], where: Path) -> Iterator[Layer]:
    taken: set[str] = set()
    for group in groups:
        others = (f"{group.name}_{i}" for i in range(1, len(groups) + 1))
        name = next(name for name in (group.name, *others) if name not in taken)
        taken.add(name)
        yield Layer(name, tuple(group.nodes), where)
