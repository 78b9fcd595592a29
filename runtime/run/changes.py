"""A run that goes on with some of its keys changed: its new plan, and what to say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from specc.diagnostics import SpecError
from specc.layout.hosted import offloaded
from specc.plan import Plan
from specc.runs.checkpoints import exists
from specc.runs.names import ENVIRONMENT, PLAN, RESOLVED
from specc.spec.dump import dump
from specc.spec.load import Spec
from specc.spec.resuming import Changed, cannot_change, changed
from specc.spec.roots import data_root
from specc.spec.sections.train import Train

from ..data import DataConfig
from . import checkpoint, record
from .learning_rate import learning_rate
from .rundir import RunDir, as_json

EPOCHS, ROOT, DEVICES, OFFLOAD = ("train", "epochs"), ("data", "root"), ("devices",), ("train", "offload")
Checked = Callable[[Spec], object]  # raises `SpecError` where the spec is wrong


@dataclass(frozen=True, slots=True)
class Change:
    """What a run goes on with."""

    before: str  # the resolved spec as it is
    plan: Plan
    resolved: str
    notes: tuple[str, ...] = ()
    environment: dict[str, object] | None = None  # what env.json says then

    def write(self, run: RunDir) -> None:
        """Put it in the place of what the run was started with."""
        if self.environment is not None:
            texts = {ENVIRONMENT: as_json(self.environment), RESOLVED: self.resolved, PLAN: self.plan.to_json(indent=1)}
            record.write(run.path, {name: text.encode() for name, text in texts.items()})


def asked(run: RunDir, overrides: Sequence[str], checked: Checked) -> Change:
    """What the run is to go on with; raises `SpecError` where that would be another one."""
    plan, resolved = run.plan(), run.resolved()
    found = changed(resolved, str(run.path / RESOLVED), overrides) if overrides else None
    if found is None or not found.values:
        return Change(resolved, plan, resolved)
    checked(found.after)
    _same_numbers(plan, found)
    after, config, env = _changed_plan(plan, found), found.after.config, run.environment()
    env["plans"] = [*env.get("plans", [plan.fingerprint]), after.fingerprint]
    if ROOT in found.keys:
        env["data_root"] = str(DataConfig(config.data.dataset, data_root(found.after)).folder)
        config = config.changed("data", root=env["data_root"])
    notes = (*found.told(), *(_of_epochs(run, plan, found) if EPOCHS in found.keys else ()))
    return Change(resolved, after, dump(config), notes, env)


def _same_numbers(plan: Plan, found: Changed) -> None:
    """Raise `SpecError` where other devices would train otherwise: nearly all make the step of one."""
    devices = found.after.config.devices
    if replace(plan, config=plan.config.model_copy(update={"devices": devices})).fingerprint != plan.fingerprint:
        why = "stages that run ahead, or norms of a part of the batch, are another training"
        raise SpecError([cannot_change(found.after, DEVICES, why, "as these devices train")], found.after.sources)


def _changed_plan(plan: Plan, found: Changed) -> Plan:
    """The plan with nothing else changed: how it trains stays what it was, whatever this specc would make of it."""
    config, after = plan.config, found.after.config
    for key in found.keys:
        if len(key) == 2:
            section, name = map(str, key)
            config = config.changed(section, **{name: getattr(getattr(after, section), name)})
        else:
            config = config.model_copy(update={str(key[0]): getattr(after, str(key[0]))})
    changed = replace(plan, config=config)
    return offloaded(changed, config.train.offload) if OFFLOAD in found.keys else changed


def _of_epochs(run: RunDir, plan: Plan, found: Changed) -> Iterator[str]:
    """What another number of epochs means; raises `SpecError` where more are done already."""
    train, new = plan.config.train, found.after.config.train.epochs
    position = checkpoint.newest(run.path).position if exists(run.path) else checkpoint.Position(0, 0, "")
    if new < (begun := position.epoch + (position.step > 0)):
        label = f"the run is at {position}"
        raise SpecError([cannot_change(found.after, EPOCHS, f"{begun} epochs are begun", label)], found.after.sources)
    yield from _of_rates(train, position.epoch, new)


def _of_rates(train: Train, epoch: int, epochs: int) -> Iterator[str]:
    """What becomes of the learning rate, where its schedule goes by the number of epochs."""

    def rate(epoch: int, epochs: int) -> float:
        return learning_rate(train.schedule, train.optimizer.lr, epoch, epochs)

    places = (0, min(train.epochs, epochs) // 2, min(train.epochs, epochs) - 1)
    if epoch < epochs and any(rate(place, train.epochs) != rate(place, epochs) for place in places):
        before = f" instead of {rate(epoch, train.epochs):.4g}" if epoch < train.epochs else ""
        now = f"the rate of epoch {epoch + 1} is {rate(epoch, epochs):.4g}{before}"
        yield f"the schedule `{train.schedule.name}` is over {epochs} epochs now: {now}"
