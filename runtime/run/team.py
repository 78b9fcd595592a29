"""One rank among those of a run, and all that it asks the others: on one device every question answers itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from specc.plan import Plan
from specc.plan.layout import Layout

from ..engine.wire import Wire

T = TypeVar("T")
GO_ON, SAVE, STOP = range(3)  # what a rank may wish after a step


class Team:
    """One rank among those of a run; of a team of one every question answers itself, and nothing is sent.

    All ranks ask the same questions in the same order.
    """

    rank, count = 0, 1
    layout: Layout | None = None  # which part of a run it has, once that is laid out

    @property
    def alone(self) -> bool:
        """Whether there is no other rank."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes, and speaks."""
        return self.rank == 0

    @property
    def speaks(self) -> bool:
        """Whether it has something of the network that no rank before it has: it is of the first copy."""
        return self.layout is None or self.layout.copy == 0

    def lay_out(self, plan: Plan) -> tuple[Plan, Wire | None]:
        """What this rank does of a plan, and its end of what moves."""
        return plan, None

    def gather(self, value: T) -> list[T]:
        """What every rank says, by rank; of what JSON knows."""
        return [value]

    def tensors(self, own: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The tensors of every rank, on the host."""
        return [dict(own)]

    def by_first(self, do: Callable[[], T]) -> T:
        """What the first rank alone does and all learn, of what JSON knows; where it fails all do."""
        found: T = self.share(do, _as_it_is, _as_it_is)
        return found

    def share(self, do: Callable[[], T], tell: Callable[[T], Any], hear: Callable[[Any], T]) -> T:
        """The same of something that is told as JSON."""
        return do()

    def read_by_first(self, read: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors that the first rank alone reads, for all."""
        return dict(read())

    def to_first(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of all ranks on the first one's host, one after the other; empty elsewhere."""
        return on_host(own)

    @contextmanager
    def leading(self) -> Iterator[Callable[[], None]]:
        """The first rank does something for which it needs the others' part, each time that it calls what it is given.

        How it ended is told to all of them.
        """
        yield lambda: None

    def following(self) -> Iterator[None]:
        """On the others: once for every call; in the end it raises what has ended the first rank's work."""
        return iter(())

    def tell(self, losses: Mapping[str, Tensor] | None) -> Mapping[str, Tensor | float] | None:
        """Have all ranks hear with the next beat what this one's units lose in a step; gives what is known of all.

        That is of some steps ago, as what is heard with a beat is. Nothing is known of a step that nobody looked at.
        """
        return losses

    def beat(self, wish: int) -> int:
        """Say after a step what one wishes, and hear the most urgent wish of all: of all at one and the same step.

        It is of some steps ago, so that no rank waits for one that is behind it.
        """
        return wish

    def settle(self) -> None:
        """All ranks stand at the same step, and the run is saved: who wished for that has it."""

    def lost(self, error: BaseException) -> str | None:
        """What to say of an error that is of another rank's end; None of others."""
        return None

    def device_of(self, device: torch.device) -> str:
        """What the run is on, for figures that hold for the same devices alone."""
        return str(device)


ALONE = Team()


def on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the host."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _as_it_is(value: Any) -> Any:
    return value
