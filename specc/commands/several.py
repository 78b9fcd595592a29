"""Runs in several processes: the options that start them, what each is for, and how one of them says that it ends."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..diagnostics.notices import notice
from ..system import ranks
from .shared import fail, failures_shown, load, loading_torch

if TYPE_CHECKING:
    from ..plan import Plan
    from ..spec.load import Spec
    from ..system.devices import Device

TIMEOUT = 600.0
LOUDNESS = "TORCH_CPP_LOG_LEVEL"


@dataclass(frozen=True, slots=True)
class Several:
    """What a command line says of processes, and which of them this is."""

    nproc: int
    nodes: int
    rendezvous: str | None
    timeout: float
    place: ranks.Place | None

    @property
    def count(self) -> int:
        """How many train the run together."""
        return self.place.count if self.place else self.nproc * self.nodes

    @property
    def starts(self) -> bool:
        """Whether this process is to start them."""
        return self.place is None and self.count > 1

    @property
    def words(self) -> Sequence[str]:
        """What the processes are told of it."""
        return ("--timeout", f"{self.timeout:g}") if self.timeout != TIMEOUT else ()


def several_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How many processes train a run."""
    for option in (
        click.option("--timeout", type=click.FloatRange(min=1), default=TIMEOUT, show_default=True,
                     help="Of several processes: seconds after which one that does not answer ends the run."),
        click.option("--rendezvous", metavar="HOST:PORT", help="Of several machines: where they meet; one of them."),
        click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True,
                     help="So many machines, each of which is given the same command."),
        click.option("--nproc", type=click.IntRange(min=1), default=1, show_default=True,
                     help="Train in so many processes on this machine, by torch's elastic launcher."),
    ):  # fmt: skip
        command = option(command)
    return command


def several(nproc: int, nodes: int, rendezvous: str | None, timeout: float, gpu: int | None) -> Several:
    """What is to be started, or which process this is: then it is tied to its parent, and says nothing but errors."""
    found = Several(nproc, nodes, rendezvous, timeout, ranks.placed())
    if found.place is not None and nproc * nodes > 1:
        raise click.UsageError(f"--nproc starts processes, and torchrun has started this one of {found.place.count}")
    if nodes > 1 and rendezvous is None:
        raise click.UsageError("--nodes takes a --rendezvous HOST:PORT, an address of one of the machines")
    if nodes == 1 and rendezvous is not None:
        raise click.UsageError("--rendezvous goes with --nodes")
    if found.count > 1 and gpu is not None:
        raise click.UsageError("--gpu is one device: several processes have a GPU each, or --device cpu")
    if found.place is not None:
        os.environ.setdefault(
            LOUDNESS, "ERROR"
        )  # torch's own pages about connections: why a run ends is said in a line
        ranks.tied(found.place)
        if found.place.quiet and found.place.reports is None:
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  to the very end
    return found


def spread(path: Path, overrides: Sequence[str], kind: Device, asked: Several) -> tuple[Spec, Sequence[str]]:
    """The spec for so many processes, and the overrides that make it so."""
    loaded = load(path, list(overrides), kind)
    devices, count = loaded.config.devices, asked.count
    if devices.count == count:
        return loaded, overrides
    if ("devices",) in loaded.tree.values or count == 1:
        _other_count(path, overrides, devices.count, asked)
    if asked.place is None or (not asked.place.quiet and asked.place.reports is None):
        notice(f"note: the spec says nothing of devices: {count} processes train copies of the network, "
               f"devices.data_parallel={count}")  # fmt: skip
    overrides = (*overrides, f"devices.data_parallel={count}")
    return load(path, list(overrides), kind), overrides


def _other_count(path: Path, overrides: Sequence[str], count: int, asked: Several) -> NoReturn:
    """Refuse a number of processes that is not the spec's."""
    these = f"these are {asked.count} processes" if asked.count > 1 else "this is one process"
    other = f"devices.data_parallel={asked.count} devices.block_parallel=1"
    fail(
        2, f"the spec is for {count} device{'s' * (count != 1)}, and {these}",
        *_of_so_many("run", (str(path), *overrides), count, asked), f"or for as many as there are: {other}",
    )  # fmt: skip


def _of_so_many(command: str, words: Sequence[str], count: int, asked: Several) -> tuple[str, ...]:
    """What starts so many."""
    if count == 1:
        return (f"without further processes: {shlex.join(['specc', command, *words])}",)
    own = shlex.join(["specc", command, *words, "--nproc", str(count)])
    torchs = shlex.join(["torchrun", "--nproc-per-node", str(count), "-m", "specc", command, *words])
    return (own, f"or: {torchs}") if asked.nodes == 1 else (f"`--nproc` times `--nodes` has to be {count}",)


def place_words(device: str | None) -> Sequence[str]:
    """Where to run, as the processes are told."""
    return ("--device", device) if device is not None else ()


def report_words(wanted: bool) -> Sequence[str]:
    """Whether a report is wanted, as the processes are told."""
    return () if wanted else ("--no-report",)


def device_of(asked: Several, device: str | None, gpu: int | None) -> str:
    """The device of this process."""
    if asked.place is None:
        from runtime.engine.device import choose

        return str(choose(device, gpu))
    from runtime.distributed.world import device_of as of_rank

    return str(of_rank(asked.place, device))


@contextmanager
def among(asked: Several, device: str, plan: Plan | None = None, words: Sequence[str] = ()) -> Iterator[None]:
    """This process in the process group of all; alone there is none."""
    if asked.place is None:
        yield
        return
    from runtime.distributed.agreement import facts
    from runtime.distributed.world import joined

    with joined(asked.place, device, asked.timeout) as world:
        world.agree(facts(plan, device, shlex.join(words)))
        world.begin()
        yield


def start(asked: Several, words: Sequence[str]) -> None:
    """Start the processes, and wait until they are over."""
    os.environ.setdefault(LOUDNESS, "ERROR")  # before torch is loaded, which looks once
    with failures_shown():
        with loading_torch():
            from runtime.distributed.launcher import Launch
            from runtime.distributed.launcher import start as launch

        launch(Launch(asked.nproc, asked.nodes, asked.rendezvous, asked.timeout), words)
