"""Which calls belong together: an op reads and makes samples, so whatever is no sample stays inside of a region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import takewhile

from specc.graph.problems import BackboneError, Path, Problem

from .calls import Call, Traced


@dataclass(frozen=True, slots=True)
class Region:
    """The calls that lead from some samples to another one."""

    output: Call
    calls: tuple[Call, ...]
    inputs: tuple[str, ...]

    @property
    def root(self) -> str:
        """The innermost module around all modules and attributes that the region uses, without being one of them."""
        return common(call.path.rpartition(".")[0] for call in self.calls if call.path)


def common(paths: Iterable[str]) -> str:
    """The longest path that all of them begin with.

    >>> common(["layer1.0.conv1", "layer1.0.bn1"])
    'layer1.0'
    """
    levels = zip(*(path.split(".") for path in paths), strict=False)
    return ".".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, levels))


def regions(traced: Traced) -> list[Region]:
    """The smallest regions, in executable order."""
    calls = {call.name: call for call in traced.calls}
    used = _used(calls, traced.output)
    group = _groups(calls, used)
    ends = _ends(calls, used, group, traced.output, traced.source.where)
    return [region(calls, end, ends) for end in calls if end in ends]


def region(calls: Mapping[str, Call], output: str, ends: Set[str]) -> Region:
    """The region that makes `output` from other `ends`; constants, numbers and splits belong to all who read them."""
    found: dict[str, None] = {}
    inputs: dict[str, None] = {}
    todo = [output]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = None
        for source in calls[name].reads:
            if calls[source].kind == "number":
                continue
            if source in ends or calls[source].what == "input":
                inputs[source] = None
            else:
                todo.append(source)
    ordered = tuple(call for name, call in calls.items() if name in found)
    read = dict.fromkeys(source for call in ordered for source in call.reads if source in inputs)
    return Region(calls[output], ordered, tuple(read))


def _used(calls: Mapping[str, Call], output: str) -> set[str]:
    """Everything that the output needs."""
    found = {output}
    for call in reversed(list(calls.values())):
        if call.name in found:
            found.update(call.reads)
    return found


def _groups(calls: Mapping[str, Call], used: set[str]) -> dict[str, str]:
    """A representative for every call: whoever reads a foreign value is in the group of its maker."""
    from networkx.utils import UnionFind

    groups = UnionFind(calls)
    for call in calls.values():
        for source in map(calls.__getitem__, call.reads if call.name in used else ()):
            if source.kind == "foreign" or (source.kind == "split" and source.owns):
                groups.union(source.name, call.name)
    return {name: groups[name] for name in calls}


def _ends(calls: Mapping[str, Call], used: set[str], group: Mapping[str, str], output: str, where: Path) -> set[str]:
    """The samples that leave their group, one a group where it owns parameters."""
    ends = {output}
    for call in calls.values():
        if call.name in used:
            ends.update(
                source for source in call.reads if calls[source].kind == "sample" and group[source] != group[call.name]
            )
    ends -= {name for name in ends if calls[name].what == "input"}
    seen: dict[str, str] = {}
    for end in ends:
        first = seen.setdefault(group[end], end)
        if first != end and any(call.owns and group[call.name] == group[end] for call in calls.values()):
            scope = common((calls[first].scope, calls[end].scope)) or "the model"
            text = f"`{scope}` cannot be a part of a graph: it hands on several values, `{first}` and `{end}`"
            raise BackboneError(Problem("SPC308", text, where, "cannot be traced"))
    return ends
