"""What a step asks of whatever it runs on.

A tensor of a machine lives as long as Python holds it: the step's variables, and what a graph keeps for its backward.
So two machines that run the same step hold the same tensors at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ..graph.layout import Layout
from ..learning.heads.patches import Cell
from ..plan import HeadPlan, LinkPlan, Load, Receive

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted(Generic[T]):
    """Where gradients are to go: to the parameters of groups, and to leaves."""

    groups: Sequence[str]
    leaves: Sequence[T] = ()


class Machine(Protocol[T]):
    """Torch's tensors (`runtime.engine.machine`), or shapes alone (`specc.memory.machine`)."""

    # -- the batch ------------------------------------------------------------------------------------------------

    view_count: int  # how many views of every sample go through the network

    def rows(self, x: T) -> int:
        """How many samples a tensor has."""

    def slices(self, batch: T, rows: Sequence[int]) -> Sequence[T]:
        """Views of successive slices of a batch, of so many samples each."""

    def views(self, images: T, labels: T, first: int) -> T:
        """What goes through the network: the images, or their views with labels written in; the first one's place."""

    def target(self, head: HeadPlan, given: T) -> T:
        """What a head's loss compares with, of the labels or of the images that went through the network."""

    # -- values and gradients -------------------------------------------------------------------------------------

    def detach(self, x: T) -> T:
        """The same numbers without their graph."""

    def leaf(self, x: T) -> T:
        """The same numbers as the beginning of a graph, where a gradient is collected."""

    def gradient(self, leaf: T) -> T:
        """The gradient that a leaf has collected, which it gives away."""

    def run(self, network: str, x: T, images: T | None = None, *, variant: int = 0, record: bool = True,
            track: bool = True) -> T:  # fmt: skip
        """A network's output in the step's precision, with its graph if it is recorded.

        Running statistics are left alone unless `track` is on.
        """

    def block(self, name: str, x: T, images: T | None, skips: Sequence[T], *, record: bool) -> Sequence[T]:
        """A block's output, and then what it gives beside it; `skips` are what it reads beside its input."""

    def averaged(self, link: LinkPlan, x: T, images: T | None) -> T:
        """The averaged copy of a `parameter` link with the trained offsets on its parameters."""

    def scaled(self, link: LinkPlan, branch: T, average: T) -> T:
        """s branch + (2 - s) average, with the link's one trained s."""

    def plus(self, a: T, b: T) -> T:
        """The sum as a new tensor."""

    def add(self, total: T, x: T) -> None:
        """Add in place."""

    def divide(self, x: T, by: float) -> T:
        """The quotient as a new tensor."""

    def shrink(self, x: T, by: float) -> None:
        """Divide in place."""

    def mean(self, tensors: Sequence[T]) -> T:
        """Of tensors of one shape, in the step's precision."""

    def backward(self, roots: Sequence[tuple[T, T]], *, retain: bool = False, only: Wanted[T] | None = None) -> None:
        """Send gradients of tensors back along their graph together, to all that it hangs on or to what is wanted."""

    # -- losses ---------------------------------------------------------------------------------------------------

    def zero(self, like: T) -> T:
        """A loss of nothing."""

    def loss(self, head: HeadPlan, out: T, target: T) -> T:
        """The unweighted loss, on those rows of the output that there is a target for."""

    def total(self, losses: Sequence[T]) -> T:
        """The sum of losses, with its graph."""

    def backward_loss(self, loss: T, weight: float) -> None:
        """Send a loss back along its graph, times its weight."""

    # -- patches --------------------------------------------------------------------------------------------------

    def patches(self, x: T, tokens: Layout | None, cells: Sequence[Cell]) -> Sequence[T]:
        """Views of the patches of a map, or of tokens laid out as the map that they come from."""

    def size(self, x: T, tokens: Layout | None) -> Sequence[int]:
        """Rows and columns of a map, or of tokens laid out."""

    def copy(self, x: T) -> T:
        """The same numbers in a tensor of their own, one after the other."""

    def place(self, x: T, *, cleared: bool) -> T:
        """A tensor like another one to write into, filled with zeros if it is `cleared`."""

    def write(self, part: T, x: T) -> None:
        """Copy the numbers into a view."""

    # -- state ----------------------------------------------------------------------------------------------------

    def step(self, group: str) -> None:
        """The optimizer step of a group; its gradients die."""

    def average(self, link: LinkPlan) -> None:
        """ema <- m ema + (1 - m) source, in place."""

    # -- other devices --------------------------------------------------------------------------------------------

    def reduce(self, group: str) -> None:
        """Begin to sum a group's gradients over all copies of the network; the group's step waits for the sums."""

    def send(self, x: T, to: int, *, channels_last: bool) -> None:
        """Begin to send a value to another stage; it stays alive until the step ends."""

    def receive(self, value: Receive, rows: int) -> T:
        """Wait for a value of so many rows that another stage has sent."""

    def send_sources(self, unit: str, tensors: Sequence[str], to: int) -> None:
        """Begin to send copies of the tensors that a unit of another stage averages."""

    def receive_sources(self, unit: str, tensors: Sequence[str], source: int) -> None:
        """Wait for the tensors of another stage that a unit averages next."""

    def settle(self) -> None:
        """Wait until all that was sent has arrived, and until the host has made its steps."""

    # -- the host -------------------------------------------------------------------------------------------------

    def load(self, what: Load) -> None:
        """Wait until parameters are on the device, and begin to move what is loaded next."""

    def evict(self, state: str) -> None:
        """Begin to move gradients to the host; parameters that are lent leave the device."""

    # -- the end --------------------------------------------------------------------------------------------------

    def first(self, x: T, rows: int) -> T:
        """A view of its first samples."""

    def join(self, parts: Sequence[T]) -> T:
        """One tensor of all slices, their samples in order."""
