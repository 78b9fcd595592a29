"""Which calls belong together: an op reads and makes samples, so whatever is no sample stays inside of a region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import takewhile

from .calls import Call, Traced
from .joining import ASIDE, Ways


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

    @property
    def learns(self) -> bool:
        """Whether some module in it, called as a whole, has parameters."""
        return any(call.trains for call in self.calls if call.what not in ("get_attr", "constant"))


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
    needed = {name: call for name, call in calls.items() if name in used}
    ends = _ends(needed, _groups(needed, traced.output), traced.output)
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


def _groups(calls: Mapping[str, Call], output: str) -> dict[str, str]:
    """A representative for every call: who reads a foreign value is in the group of its maker, who shares parameters
    in the group of all who do, and what such a group hands on is one value."""
    from networkx.utils import UnionFind

    groups, ways = UnionFind(calls), Ways(calls, output)
    for call in calls.values():
        for source in map(calls.__getitem__, call.reads):
            if source.kind == "foreign" or (source.kind == "split" and source.owns):
                groups.union(source.name, call.name)
    for names in ways.sharing():
        groups.union(*ways.closed(names))
    while several := list(_several(calls, {name: groups[name] for name in calls}, output)):
        for names in several:
            groups.union(*ways.closed(names))
    return {name: groups[name] for name in calls}


def _several(calls: Mapping[str, Call], group: Mapping[str, str], output: str) -> Iterator[list[str]]:
    """The groups with parameters that more than one value leaves."""
    ends: dict[str, list[str]] = {}
    for end in _ends(calls, group, output):
        ends.setdefault(group[end], []).append(end)
    owning = {group[call.name] for call in calls.values() if call.owns}
    for root, names in ends.items():
        if len(names) > 1 and root in owning:
            yield [name for name in calls if group[name] == root and calls[name].kind not in ASIDE]


def _ends(calls: Mapping[str, Call], group: Mapping[str, str], output: str) -> set[str]:
    """The samples that leave their group."""
    ends = {output} | {
        source
        for call in calls.values()
        for source in call.reads
        if calls[source].kind == "sample" and group[source] != group[call.name]
    }
    return {name for name in ends if calls[name].what != "input"}
