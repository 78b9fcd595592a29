"""The processes of a run as one: what they tell one another, what the first of them does for all, and their endings.

What a step moves is `runtime.engine.wire`'s. Here go words between steps, through a process group of their own on the
host: never a pickle, but JSON and safetensors.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from specc.layout import laid_out, stages_on
from specc.plan import Plan
from specc.profiles import here

from ..engine.groups import new_group
from ..engine.wire import Wire
from ..errors import RunError
from .team import ALONE, GO_ON, SAVE, STOP, Team, on_host

T = TypeVar("T")
_MORE, _DONE = "more", "done"
_WISHES = 1 + max(GO_ON, SAVE, STOP)  # places of a beat: how many told of their losses in place of `GO_ON`, the wishes


class Elsewhere(RunError):
    """Another rank could not go on: that one says why."""

    told = True


class Ranks(Team):
    """Several: the ranks of the default process group."""

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self._words: Any = new_group(backend="gloo")
        self._beats: Any = new_group(backend="gloo")
        self._pending: deque[tuple[Any, Tensor]] = deque()
        self._ahead = 1  # steps that a rank may be before another one
        self._kept = GO_ON  # of what was heard
        self._units: tuple[str, ...] = ()  # of the whole
        self._said: Mapping[str, Tensor] | None = None  # by this rank's units in the last step, where it was looked at
        self._known: dict[str, float] = {}  # of all units, last

    def lay_out(self, plan: Plan) -> tuple[Plan, Wire | None]:
        """See `Team.lay_out`."""
        stages = self.by_first(lambda: list(stages_on(plan, here(plan.memory.device))))
        own = laid_out(plan, self.rank, stages)
        assert own.layout is not None
        self._units = tuple(plan.by_unit)
        self.layout, self._ahead = own.layout, len(stages) * (1 + own.layout.ahead)
        return own, Wire(own)

    def gather(self, value: T) -> list[T]:
        """See `Team.gather`."""
        return [json.loads(each) for each in self._all(json.dumps(value, allow_nan=False).encode())]

    def tensors(self, own: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """See `Team.tensors`."""
        return [load(each) for each in self._all(save(on_host(own)))]

    def share(self, do: Callable[[], T], tell: Callable[[T], Any], hear: Callable[[Any], T]) -> T:
        """See `Team.share`."""
        if not self.first:
            deque(self.following(), maxlen=0)
            return hear(json.loads(self._from_first(b"")))
        with self.leading():
            found = do()
            told = json.dumps(tell(found), allow_nan=False)
        self._from_first(told.encode())
        return found

    def read_by_first(self, read: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """See `Team.read_by_first`."""
        if not self.first:
            deque(self.following(), maxlen=0)
            return load(self._from_first(b""))
        with self.leading():
            found = dict(read())
        self._from_first(save(found))
        return found

    def to_first(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Team.to_first`."""
        known = [(name, list(tensor.shape), str(tensor.dtype)[6:]) for name, tensor in own.items()]
        listed = self.gather(known)
        if not self.first:
            for tensor in own.values():
                dist.send(_as_bytes(on_host({"": tensor})[""]), 0, group=self._words)
            return {}
        found = on_host(own)
        for rank, theirs in enumerate(listed[1:], 1):
            for name, shape, dtype in theirs:
                found[name] = torch.empty(shape, dtype=getattr(torch, dtype))
                dist.recv(_as_bytes(found[name]), rank, group=self._words)
        return found

    @contextmanager
    def leading(self) -> Iterator[Callable[[], None]]:
        """See `Team.leading`."""
        try:
            yield lambda: self._tell(_MORE)
        except Exception as error:
            self._tell(str(error) or type(error).__name__)
            raise
        self._tell(_DONE)

    def following(self) -> Iterator[None]:
        """See `Team.following`."""
        while (told := self._told()) == _MORE:
            yield
        if told != _DONE:
            raise Elsewhere(f"rank 0: {told}")

    def tell(self, losses: Mapping[str, Tensor] | None) -> Mapping[str, Tensor | float] | None:
        """See `Team.tell`."""
        self._said = losses
        return None if losses is None else self._known

    def beat(self, wish: int) -> int:
        """See `Team.beat`."""
        said, losses = torch.zeros(_WISHES + len(self._units), dtype=torch.float64), self._said
        said[wish] += wish != GO_ON
        said[GO_ON] = losses is not None
        for place, unit in enumerate(self._units, _WISHES):
            said[place] = float(losses[unit]) if losses and unit in losses else 0.0
        self._said = None
        self._pending.append((dist.all_reduce(said, group=self._beats, async_op=True), said))
        return max(self._kept, self._heard() if len(self._pending) > self._ahead else GO_ON)

    def settle(self) -> None:
        """See `Team.settle`."""
        while self._pending:
            self._kept = STOP if self._heard() == STOP else self._kept

    def _heard(self) -> int:
        begun, said = self._pending.popleft()
        begun.wait()
        if int(said[GO_ON]) == self.count:  # copies have parts of a loss, which add up
            self._known = dict(zip(self._units, said[_WISHES:].tolist(), strict=True))
        return next((wish for wish in (STOP, SAVE) if said[wish]), GO_ON)

    def lost(self, error: BaseException) -> str | None:
        """See `Team.lost`."""
        if not _of_the_wire(error):
            return None
        return f"another rank has ended, or does not answer: {str(error).splitlines()[0]:.200}"

    def device_of(self, device: torch.device) -> str:
        """See `Team.device_of`."""
        assert self.layout is not None
        return f"{device.type} x {self.layout.copies} x {list(self.layout.stages)}"

    def _tell(self, word: str) -> None:
        self._from_first(word.encode())

    def _told(self) -> str:
        return self._from_first(b"").decode(errors="replace")

    def _from_first(self, message: bytes) -> bytes:
        """A message of the first rank."""
        size = torch.tensor([len(message)])
        dist.broadcast(size, 0, group=self._words)
        content = _numbers(message) if self.first else torch.empty(int(size), dtype=torch.uint8)
        if len(content):
            dist.broadcast(content, 0, group=self._words)
        return content.numpy().tobytes()

    def _all(self, message: bytes) -> list[bytes]:
        """A message of every rank."""
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(sizes, torch.tensor([len(message)]), group=self._words)
        most = max(map(int, sizes))
        found = [torch.empty(most, dtype=torch.uint8) for _ in sizes]
        dist.all_gather(found, _numbers(message.ljust(most, b"\0")), group=self._words)
        return [each[: int(size)].numpy().tobytes() for each, size in zip(found, sizes, strict=True)]


def present() -> Team:
    """This rank among those of the default process group; alone where there is none."""
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return Ranks() if several else ALONE


def require_count(plan: Plan, team: Team) -> None:
    """Refuse to run a plan with more or fewer ranks than it asks for."""
    count = plan.config.devices.count
    if count != team.count:
        help = (f"start as many, with `--nproc {count}`, or say otherwise: devices.data_parallel={team.count} "
                "devices.block_parallel=1",)  # fmt: skip
        raise RunError(f"the plan is for {_devices(count)}, and this run has {_devices(team.count)}", help)


def _devices(count: int) -> str:
    return f"{count} device{'s' * (count != 1)}"


def _of_the_wire(error: BaseException) -> bool:
    """Whether an error is one of torch's process groups: gloo raises plain ones."""
    if isinstance(error, dist.DistError):
        return True
    signs = ("gloo", "Connection closed by peer", "Connection reset by peer", "ProcessGroup", "NCCL")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _numbers(message: bytes) -> Tensor:
    return torch.frombuffer(bytearray(message), dtype=torch.uint8) if message else torch.empty(0, dtype=torch.uint8)


def _as_bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, as they lie."""
    return tensor.reshape(-1).view(torch.uint8)
