"""What lives on the host, and the device has for its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..plan import Load, Network
from ..plan.offloading import AVERAGES, Held
from .autograd import Leaf
from .storage import Allocator, Storage


class Lent:
    """A device's part of it; a search looks at some networks of a plan, and what it has not is not loaded."""

    def __init__(self, memory: Allocator, held: Held, networks: Mapping[str, Network]) -> None:
        self.memory, self.held, self.networks = memory, held, networks
        self.here: dict[str, list[Storage]] = {}

    def __contains__(self, state: object) -> bool:
        return state in self.held.states

    def load(self, what: Load) -> None:
        """What is loaded next begins to move, and takes its place, too."""
        for state in (what.state, what.then):
            if state is not None and state in self.held.states and state not in self.here:
                self.here[state] = self._placed(state)

    def _placed(self, state: str) -> list[Storage]:
        sizes = self.held.sizes(state, self.networks)
        self.memory.moves("load", 0, sum(sizes), calls=len(sizes))
        category = "EMA copies" if state.startswith(AVERAGES) else "parameters"
        return [self.memory.new(size, category) for size in sizes] if self.held.lent else []

    def evict(self, state: str, leaves: Iterable[Leaf]) -> None:
        """The gradients leave the device, and the parameters where they are lent."""
        self.here.pop(state, None)
        own = [leaf for leaf in leaves if leaf.gradient is not None]
        size = sum(leaf.gradient.storage.bytes for leaf in own if leaf.gradient is not None)
        if own:
            self.memory.moves("evict", size, 0, calls=len(own))
        for leaf in own:
            leaf.gradient = None
