"""Training steps as torch's caching allocator sees them: every take and free, in the order of the recorded step.

Around the step stands what a training loop does: the model is made tensor by tensor, cuBLAS takes its workspaces when
the first product is computed, the optimizer makes its state in the first step, among what is alive then, and the next
batch comes to the device before the last one is let go of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from ..graph.ops import Conv, ConvTranspose, numel
from ..plan import Network, Plan, Step
from .caching import CachingAllocator
from .operation import Operation
from .prediction import Prediction
from .recording import Event, Recording
from .storage import Direction

STEPS = 3  # in the first the optimizer's state is made; from the second on each is like the one before
WORKSPACE = "workspaces"
THREADS = 2  # that multiply matrices: forward, and autograd's


class Libraries(NamedTuple):
    """What kernels take through the allocator beside the tensors of a step."""

    share: float = 0.0  # of a convolution's input and output, for copies with the channels last
    blas: int = 0  # bytes of cuBLAS's workspace, for each thread


NO_LIBRARIES = Libraries()


class Launches(Recording):
    """A recording that also has the workspaces of convolutions, which live as long as a kernel runs."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def computes(self, operation: object, direction: Direction, *, turned: bool = False) -> None:
        """Ask for a workspace, and give it back."""
        assert isinstance(operation, Operation)
        size = int(self.share * copied_bytes(operation))
        if size:
            self.gave(self.took(size, WORKSPACE), size, WORKSPACE)


def copied_bytes(operation: Operation) -> int:
    """Input and output of a convolution whose channels come first: tensor cores want them last.

    Grouped convolutions have kernels of their own, which take them as they are.
    """
    op, first = operation.node.op, operation.edges[0]
    if not isinstance(op, Conv | ConvTranspose) or op.groups > 1 or first.order != "plain":
        return 0
    width = operation.computed or first.width
    return first.numbers * width + operation.node.size * operation.rows * width


@dataclass(frozen=True, slots=True)
class Steps:
    """A recorded step, to be replayed."""

    plan: Plan
    events: tuple[Event, ...]
    libraries: Libraries

    def run(self, limit: int | None = None, steps: int = STEPS) -> CachingAllocator:
        """The allocator after so many steps; raises `OutOfDevice` where they do not fit into the limit."""
        return _Run(self, CachingAllocator(limit)).run(steps)


def recorded_steps(plan: Plan, libraries: Libraries = NO_LIBRARIES) -> Steps:
    """The step of a plan, with what libraries take."""
    recording = Launches(libraries.share)
    Prediction(plan, plan.memory.device, recording).run()
    return Steps(plan, tuple(recording.events), libraries)


class _Run:
    """One replay. Keys of the step's own tensors are (step, key), of all others numbers."""

    def __init__(self, steps: Steps, allocator: CachingAllocator) -> None:
        self.plan, self.libraries, self.allocator = steps.plan, steps.libraries, allocator
        given = {event.key for event in steps.events if not event.taken}
        passing = [event for event in steps.events if event.key in given]
        self.batch = {event.key: event.bytes for event in passing if event.taken and event.instruction < 0}
        self.events = [event for event in passing if event.key not in self.batch]
        self.lasting = [event for event in steps.events if event.key not in given]
        self.keys = count()

    def run(self, steps: int) -> CachingAllocator:
        self._keep(self.libraries.blas for _ in range(THREADS))
        for event in self.lasting:
            if event.category != "optimizer state":
                self._keep(tensors(self.plan.networks[event.op], event.category, event.bytes))
        for number in range(steps):
            for key, size in self.batch.items():
                self.allocator.take((number, key), size)
            for key in self.batch:
                self.allocator.give((number - 1, key))
            self._step(number)
        return self.allocator

    def _keep(self, sizes: Iterator[int]) -> None:
        for size in sizes:
            self.allocator.take(next(self.keys), size)

    def _step(self, number: int) -> None:
        waiting = self._states() if number == 0 else []
        for event in self.events:
            while waiting and waiting[0][0] <= event.instruction:
                self._keep(iter(waiting.pop(0)[1]))
            if event.taken:
                self.allocator.take((number, event.key), event.bytes)
            else:
                self.allocator.give((number, event.key))
        for _, sizes in waiting:
            self._keep(iter(sizes))

    def _states(self) -> list[tuple[int, list[int]]]:
        """The optimizer's state of every network, by the instruction that makes it."""
        at = {each.group: i for i, each in enumerate(self.plan.instructions) if isinstance(each, Step)}
        found = []
        for event in self.lasting:
            if event.category == "optimizer state":
                network = self.plan.networks[event.op]
                made = at.get(network.group or "", len(self.plan.instructions))
                found.append((made, list(tensors(network, event.category, event.bytes))))
        return sorted(found, key=lambda state: state[0])


def tensors(network: Network, category: str, size: int) -> Iterator[int]:
    """The tensors that so many bytes of a network are: one or more a parameter, and what is left over in one."""
    if category == "buffers":
        shapes = [shape for node in network.graph.nodes for shape in node.buffers.values()]
        sizes = [4 * numel(shape) if shape else 8 for shape in shapes]
    else:
        graph = network.graph
        shapes = [*(graph.trained if category == "optimizer state" else graph.parameters).values()]
        sizes = [4 * numel(shape) for shape in shapes]
    whole = sum(sizes)
    for _ in range(size // whole if whole else 0):
        yield from sizes
    yield size % whole if whole else size
