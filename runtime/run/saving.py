"""A session into a checkpoint and back: tensors as safetensors under canonical names, all else as JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from mmap import mmap
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save as serialised
from torch import Tensor
from torch.optim import Optimizer

from specc.runs.manifest import Damaged
from specc.runs.names import METRICS
from specc.spec.sections.optimizer import Optimizer as Config

from ..engine import host
from ..engine.session import Session
from ..engine.sharding import fill, whole
from ..engine.weight_average import WeightAverage
from ..errors import RunError
from ..named import named
from . import checkpoint, storing
from .averages import COUNT
from .checkpoint import Found, Position, State
from .team import ALONE, Team, on_host

T = TypeVar("T")
_SPARE = 1 << 20  # bytes for what else it takes


def save(
    session: Session, position: Position, run_dir: Path, sums: Mapping[str, Tensor] | None = None,
    metrics: Callable[[], bytes] = bytes, team: Team = ALONE,
) -> Position:  # fmt: skip
    """Add a checkpoint; `sums` are those of the epoch's figures so far, `metrics` tells what metrics.csv holds.

    A best one without a name is the one that is written; says where the run stands, with that name. The first rank
    writes, of the same names whatever the layout, and all learn whether it could.
    """
    name = team.by_first(lambda: storing.name_for(run_dir, position.steps))
    if position.best and not position.best.checkpoint:
        position = replace(position, best=replace(position.best, checkpoint=name))
    parts = list(_parts(session, team))
    if team.first:
        with team.leading() as ask:
            state = State(position, session.scaler.state_dict())
            storing.write(run_dir, name, _contents(parts, ask, state, sums or {}, metrics, team))
    else:
        asked = iter(parts)
        for _ in team.following():
            team.to_first(next(asked)[1]())
    return position


Part = tuple[str, Callable[[], Mapping[str, Tensor]]]


def _parts(session: Session, team: Team) -> Iterator[Part]:
    """The files of which every rank has a part: copies of one stage have the same, and the first of them tells it."""
    yield checkpoint.MODEL, lambda: _told(session.model.tensors(), team)
    yield checkpoint.OPTIMIZER, lambda: _told(optimizer_tensors(session), team)
    if average := session.average:
        yield checkpoint.WEIGHT_AVERAGE, lambda: _told(average.tensors, team)


def _told(own: Mapping[str, Tensor], team: Team) -> Mapping[str, Tensor]:
    """What this rank tells. Of what is in parts all copies gather one tensor after the other, by name.

    Not as they lie there: a rank that has read a file may have its tensors in another order than one that was told it.
    """
    if team.layout is None or not team.layout.sharded:
        return own if team.speaks else {}
    found: dict[str, Tensor] = {}
    for name, tensor in sorted(own.items()):
        full = whole(tensor.detach())
        if team.speaks:
            found[name] = full.cpu()
    return found


def _contents(
    parts: Iterable[Part], ask: Callable[[], None], state: State, sums: Mapping[str, Tensor],
    metrics: Callable[[], bytes], team: Team,
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """The files, one after the other: no two of them are in memory together."""
    for name, tensors in parts:
        ask()
        yield name, _as_bytes(team.to_first(tensors()))
    yield checkpoint.AVERAGES, _as_bytes(on_host(sums))
    yield METRICS, metrics()
    yield checkpoint.STATE, checkpoint.state_json(state)


def _as_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """A file of tensors. Where there is no room for it that is an error here; the library would end the process."""
    size = 2 * sum(tensor.nbytes for tensor in tensors.values())
    try:
        mmap(-1, size + _SPARE).close()  # asked for, and not touched
    except OSError as error:
        raise MemoryError(f"{size} bytes for a file of tensors: {error.strerror}") from None
    return serialised(dict(tensors))


def optimizer_tensors(session: Session) -> dict[str, Tensor]:
    """Optimizer state as ``parameter/slot``."""
    names = {id(parameter): name for name, parameter in session.named_parameters()}
    return {
        f"{names[id(parameter)]}/{slot}": value
        for optimizer in session.optimizers.values()
        for parameter, state in optimizer.state.items()
        for slot, value in state.items()
        if isinstance(value, Tensor)
    }


def load(
    session: Session, found: Found, before: Collection[str] = (), team: Team = ALONE
) -> tuple[Position, dict[str, Tensor]]:
    """Put a checkpoint into the session; says where it stands, and the sums of the epoch so far.

    The first rank reads, and each takes what it has of the network. It is of the session's plan, or of one of those
    that this run had `before`, of another number of epochs.
    """
    path, position = found.path, found.position
    if position.plan_fingerprint not in (session.plan.fingerprint, *before):
        raise RunError(f"the checkpoint {path} belongs to another plan", ("resume it from its own run directory",))

    def read(name: str) -> dict[str, Tensor]:
        return team.read_by_first(lambda: checkpoint.read_tensors(path, name))

    try:
        load_model(session, read(checkpoint.MODEL), path)
        _load_optimizer(session, read(checkpoint.OPTIMIZER), path)
        if session.average:
            own = _of_stage(session, read(checkpoint.WEIGHT_AVERAGE), session.average.followed)
            _load_average(session.average, own, path)
            session.average.steps = position.steps
        session.scaler.load_state_dict(found.state.scaler)
        sums = read(checkpoint.AVERAGES)
        if COUNT not in sums or any(tensor.dim() for tensor in sums.values()):
            raise KeyError(f"{checkpoint.AVERAGES} holds no sums")
        return position, sums
    except (Damaged, KeyError, RuntimeError) as error:
        raise _of_another(path, str(error)) from None


def _of_another(path: Path, reason: str) -> RunError:
    """For files that are as they were written, and not what this session can take."""
    help = ("resume it from its own run directory, with the specc that wrote it", "or start the run anew")
    return RunError(f"the checkpoint {path} does not go with its plan: {reason}", help)


@torch.no_grad()
def load_model(session: Session, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Copy tensors into the model by canonical name."""
    own = session.model.tensors()
    tensors = _of_stage(session, tensors, own)
    if differing := sorted(set(own) ^ set(tensors))[:3]:
        raise RunError(f"the tensors in {where} are not those of the plan (for example {', '.join(differing)})")
    for name, tensor in own.items():
        _same_kind(name, tensors[name], tensor, where)
        fill(tensor, tensors[name])


def _of_stage(session: Session, tensors: Mapping[str, T], own: Collection[str]) -> Mapping[str, T]:
    """What a rank takes of the tensors of a whole network: those that it has."""
    if session.plan.layout is None:
        return tensors
    return {name: tensor for name, tensor in tensors.items() if name in own}


def _same_kind(name: str, found: Tensor, own: Tensor, where: Path) -> None:
    """Copying would convert and broadcast, and change the numbers in silence."""
    if (found.shape, found.dtype) != (own.shape, own.dtype):
        told, wanted = (f"{tuple(tensor.shape)} {str(tensor.dtype)[6:]}" for tensor in (found, own))
        raise _of_another(where, f"`{name}` is {told} instead of {wanted}")


def _load_average(average: WeightAverage, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Before the first step there is none."""
    own = average.followed if tensors else {}
    if set(own) != set(tensors):
        raise KeyError(f"{checkpoint.WEIGHT_AVERAGE} has other tensors than the plan's")
    for name, tensor in own.items():  # in the order of the model's, with which they are brought up to date
        _same_kind(name, tensors[name], tensor, where)
        average.tensors[name] = host.like(tensor).copy_(tensors[name])


def _load_optimizer(session: Session, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Give every optimizer its state, as `optimizer_tensors` named it."""
    names = {id(parameter): name for name, parameter in session.named_parameters()}
    states = {**_of_stage(session, _by_parameter(tensors), frozenset(names.values()))}
    kept = cache(partial(_kept, session.plan.config.train.optimizer))
    for optimizer in session.optimizers.values():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        held = {i: states.pop(name) for i, p in enumerate(parameters) if (name := names[id(p)]) in states}
        for i, state in held.items():
            _check_state(names[id(parameters[i])], state, kept(parameters[i].shape), where)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": held})  # which knows on what device counters lie
        for i in held:
            _lay_out(optimizer.state[parameters[i]], parameters[i])
    if states:
        raise _of_another(where, f"there is no parameter `{next(iter(states))}` that an optimizer steps")


def _by_parameter(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    states: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, slot = key.rpartition("/")
        states.setdefault(name, {})[slot] = tensor
    return states


def _kept(config: Config, shape: torch.Size) -> dict[str, Tensor]:
    """What an optimizer keeps of a parameter, as a step of one that has nothing else tells."""
    alone = torch.zeros(shape, requires_grad=True)
    alone.grad = torch.zeros(shape)
    optimizer: Optimizer = named(config.torch, f"the optimizer `{config.name}`")([alone], **config.arguments())
    optimizer.step()
    return {slot: value for slot, value in optimizer.state[alone].items() if isinstance(value, Tensor)}


def _check_state(name: str, state: Mapping[str, Tensor], own: Mapping[str, Tensor], where: Path) -> None:
    if differing := sorted(set(own) ^ set(state)):
        raise _of_another(where, f"`{name}` has {'too much' if differing[0] in state else 'no'} `{differing[0]}`")
    for slot, value in state.items():
        _same_kind(f"{name}/{slot}", value, own[slot], where)


def _lay_out(state: dict[str, Tensor], parameter: Tensor) -> None:
    """What has a parameter's shape lies in memory as the parameter does, which fused steps rely on."""
    for slot, value in state.items():
        if slot != "step" and value.shape == parameter.shape:
            state[slot] = torch.empty_like(parameter, requires_grad=False)
            fill(state[slot], value)
