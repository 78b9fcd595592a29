"""One rank's end of a run in several processes: the store, the agreement, the process group, and its end."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from specc.system.ranks import Place, done

from ..engine.device import choose, first_line
from ..errors import RankLost, RunError
from .agreement import Facts, difference
from .pulse import Beat, Pulse, silent

TIMEOUT = 600.0  # seconds that ranks wait for one another
LEAVING = 5.0  # seconds that rank 0 waits for the others, where it ends before a step
c10d: Any = dist  # whose stores are not in its type hints
SIGNS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting",
         "Socket Timeout", "DistBackendError")  # fmt: skip
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
LATE = ("Timed out", "timed out", "imeout")
_current: ContextVar[World | None] = ContextVar("world", default=None)


class World:
    """A rank among others. Values are shared as JSON, over the store that torchrun keeps."""

    def __init__(self, place: Place, device: torch.device, timeout: float) -> None:
        self.rank, self.count, self.place, self.device, self.timeout = (
            place.rank, place.count, place, device, timeout,
        )  # fmt: skip
        self.store = _store(place, timeout, serves=place.rank == 0)
        self.pulse = Pulse(_store(place, timeout), place.rank, timeout)
        self._shared = 0

    @property
    def backend(self) -> str:
        """What moves tensors."""
        return "nccl" if self.device.type == "cuda" else "gloo"

    def agree(self, own: Facts) -> None:
        """Raise `RunError` in every rank where one of them has something else than rank 0."""
        self.store.set(f"facts/{self.rank}", json.dumps(dict(own), allow_nan=False))
        found = None
        if self.rank == 0:
            every = ((rank, self._from(rank, f"facts/{rank}")) for rank in range(1, self.count))
            found = next((wrong for rank, facts in every if (wrong := difference(rank, facts, own))), None)
        if found := self.shared(found):
            self._heard_by_all()
            raise RunError(found[0], (found[1],))

    def _heard_by_all(self) -> None:
        """Rank 0, with which the store may go away, waits some seconds for all others to have heard why it does."""
        self.store.set(f"heard/{self.rank}", "")
        if self.rank == 0:
            with suppress(RuntimeError):
                self.store.wait([f"heard/{rank}" for rank in range(self.count)], timedelta(seconds=LEAVING))

    def shared(self, value: Any = None) -> Any:
        """What rank 0 gives; all ranks ask for the same things in the same order."""
        self._shared += 1
        name = f"shared/{self._shared}"
        if self.rank == 0:
            self.store.set(name, json.dumps(value, allow_nan=False))
        return self._from(0, name)

    def _from(self, rank: int, name: str) -> Any:
        """What a rank has said or is about to say."""
        try:
            self.store.wait([name], timedelta(seconds=self.timeout))
            return json.loads(self.store.get(name))
        except dist.DistStoreError:
            message = f"rank {rank} did not come within {self.timeout:g} s"
            raise RankLost(message, rank, ("all machines have to start theirs at about the same time",)) from None

    def begin(self) -> None:
        """Make the process group."""
        dist.init_process_group(
            self.backend, store=c10d.PrefixStore("group", self.store), rank=self.rank, world_size=self.count,
            timeout=timedelta(seconds=self.timeout),
            device_id=self.device if self.device.type == "cuda" else None,
        )  # fmt: skip

    def lost(self, error: BaseException) -> RankLost | None:
        """What to say of an error that another rank is the cause of; None where it has another one."""
        if isinstance(error, RankLost):
            return error
        if not _is_lost(error):
            return None
        _deafen()
        late = any(sign in str(error) for sign in LATE)
        at = self.pulse.running()
        while_ = f" while rank {self.rank} waited at `{at}`" if at is not None else ""
        try:
            found = silent(self.pulse.store, self.rank, self.count, self.pulse.every)
        except RuntimeError:
            return RankLost(f"rank 0, or what has started it, is gone{while_}", 0)
        if found is None:
            return RankLost(f"a connection to another rank has failed{while_}: {first_line(error)}", None)
        rank, beat = found
        if said := self._said_by(rank):
            own = f"rank {rank}: "
            return RankLost(said if said.startswith(own) else f"rank {rank} has ended: {said}", rank)
        where = f", which was {_at(beat)} on {beat.host}," if beat else ""
        if late:
            return RankLost(f"rank {rank}{where} did not answer for {self.timeout:g} s{while_}", rank)
        return RankLost(f"rank {rank}{where} is gone{while_}", rank)

    def _said_by(self, rank: int) -> str:
        with suppress(RuntimeError):
            if self.pulse.store.check([f"ended/{rank}"]):
                return str(self.pulse.store.get(f"ended/{rank}").decode(errors="replace"))
        return ""

    def ended(self, error: RunError) -> None:
        """Say why this rank ends, for those that it leaves alone."""
        with suppress(RuntimeError):
            self.pulse.store.set(f"ended/{self.rank}", str(error))

    def speaks(self) -> bool:
        """Whether nobody else has said yet why the run ends; whoever asks first says it."""
        with suppress(RuntimeError):
            return int(self.pulse.store.add("speaks", 1)) == 1
        return True

    def close(self, *, whole: bool) -> None:
        """Leave; with the others where nothing has failed."""
        if dist.is_initialized():
            if whole:
                dist.barrier()
                done(self.place)
            if whole or self.backend == "gloo":
                with suppress(RuntimeError):
                    dist.destroy_process_group()
        self.pulse.close()


def current() -> World | None:
    """That of this process, while it is in one."""
    return _current.get()


@contextmanager
def joined(place: Place, device: str | torch.device, timeout: float = TIMEOUT) -> Iterator[World]:
    """This process among the others, until all are done or one has failed."""
    try:
        world = World(place, torch.device(device), timeout)
    except RuntimeError as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise RankLost(f"rank {place.rank} finds nobody at {where}: {first_line(error)}", 0) from None
    token = _current.set(world)
    whole = False
    try:
        yield world
        whole = True
    except RunError as error:
        raise _told(world, error) from None
    except RuntimeError as error:
        if (lost := world.lost(error)) is None:
            raise
        raise _told(world, lost) from None
    finally:
        try:
            world.close(whole=whole)
        finally:
            _current.reset(token)


def _told(world: World, error: RunError) -> RunError:
    """The error, of which one rank speaks: that whose it is, or else the first to miss another one."""
    world.ended(error)
    error.told = not world.speaks() and isinstance(error, RankLost)
    return error


def device_of(place: Place, name: str | None) -> torch.device:
    """The device of a rank: the GPU of its number on this machine, or the processor."""
    if name is not None and name != "cuda":
        if name != "cpu":
            help = ("`--device cuda` gives every process a GPU of its own, `--device cpu` none",)
            raise RunError(f"{place.count} processes do not all run on `{name}`", help)
        return choose(name, None)
    if name is None and not torch.cuda.is_available():
        return choose("cpu", None)
    if torch.cuda.is_available() and place.local >= torch.cuda.device_count():
        help = (f"`--nproc {torch.cuda.device_count()}`, or `--device cpu` to run on the processor",)
        raise RunError(f"rank {place.rank} has no GPU: there are {torch.cuda.device_count()} here", help)
    return choose(None, place.local)


def _store(place: Place, timeout: float, *, serves: bool = False) -> Any:
    """A connection to the store of all ranks, which torchrun keeps, or else rank 0."""
    variables = os.environ
    kept = variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = c10d.TCPStore(
        variables.get("MASTER_ADDR", "localhost"), int(variables.get("MASTER_PORT", "29500")), place.count,
        serves and not kept, timedelta(seconds=timeout), wait_for_workers=False,
    )  # fmt: skip
    run = f"specc/{variables.get('TORCHELASTIC_RUN_ID', '')}/{variables.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    return c10d.PrefixStore(run, store)


def _at(beat: Beat) -> str:
    return f"at `{beat.at}`" if beat.at else "between two steps"


def _deafen() -> None:
    """Whoever asks this process to end need not do so any more, and would keep it from saying why."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _is_lost(error: BaseException) -> bool:
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in SIGNS)
