"""Calls that have to be one part of a graph: those that share parameters, and all that lies between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .calls import Call

ASIDE = frozenset({"number", "constant"})  # kinds of values that belong to all who read them


@dataclass
class Ways:
    """How values of a forward lead to its output; of calls that the output needs, in order."""

    calls: Mapping[str, Call]
    output: str
    _depth: dict[str, int] = field(default_factory=dict)

    @cached_property
    def readers(self) -> dict[str, list[str]]:
        """Who reads each value; whoever reads what is made of a constant reads the constant."""
        found: dict[str, list[str]] = {name: [] for name in self.calls}
        for call in self.calls.values():
            for source in call.reads:
                found[source].append(call.name)
        return found

    def sharing(self) -> Iterator[list[str]]:
        """Calls that compute with one and the same parameter."""
        users: dict[str, dict[str, None]] = {}
        for call in self.calls.values():
            for tensor in call.trains:
                users.setdefault(tensor, {}).update(dict.fromkeys(self._computing(call.name)))
        yield from (list(found) for found in users.values() if len(found) > 1)

    def _computing(self, name: str) -> Iterator[str]:
        if self.calls[name].kind not in ASIDE:
            yield name
        else:
            for reader in self.readers[name]:
                yield from self._computing(reader)

    def closed(self, names: Iterable[str]) -> set[str]:
        """These calls and all between them and the first sample that all their values lead through."""
        members = set(names)
        end = self._end(members)
        order = list(self.calls)
        after: set[str] = set()
        for name in order[: order.index(end) + 1]:
            if name in members or after.intersection(self.calls[name].reads):
                after.add(name)
        before = {end}
        for name in reversed(order[: order.index(end) + 1]):
            if name in before:
                before.update(self.calls[name].reads)
        return {name for name in after & before if self.calls[name].kind not in ASIDE}

    def _end(self, members: Iterable[str]) -> str:
        """Where all ways from some calls to the output come together in a sample."""
        end = ""
        for name in members:
            end = name if not end else self._meet(end, name)
        while self.calls[end].kind != "sample":
            end = self._next[end]
        return end

    @cached_property
    def _next(self) -> dict[str, str]:
        """For each call the first one that all ways from it to the output lead through."""
        found = {self.output: self.output}
        self._depth[self.output] = 0
        for name in reversed(list(self.calls)):
            ways = [reader for reader in self.readers[name] if reader in found]
            if name in found or not ways:
                continue
            meeting = ways[0]
            for way in ways[1:]:
                meeting = self._common(meeting, way, found)
            found[name], self._depth[name] = meeting, self._depth[meeting] + 1
        return found

    def _meet(self, a: str, b: str) -> str:
        return self._common(a, b, self._next)

    def _common(self, a: str, b: str, following: Mapping[str, str]) -> str:
        while a != b:
            if self._depth[a] < self._depth[b]:
                a, b = b, a
            a = following[a]
        return a
