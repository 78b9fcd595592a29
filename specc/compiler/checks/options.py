"""Check 2: options that contradict one another, or that have no effect where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from typing import Any

from pydantic.fields import FieldInfo

from ...diagnostics import Diagnostic
from ...language.plugged import OneOf
from ...language.schema import Config
from ...language.source import Path, paths_below
from ...learning.losses import LOSSES, loss_fault
from ...spec.lookup import paths_that_read_environment
from ...spec.sections.train import NO_GRAPH
from ...tasks.registry import TASKS
from ..draft import Draft
from .choices import chosen
from .sharding import not_sharded


def check_options(draft: Draft) -> Draft:
    """The schedule fits the epochs; nothing is silently ignored, or chosen by a test; variables stand in paths only."""
    idle = (*_idle(draft, draft.spec.config, ()), *_unsmoothed(draft), *_not_captured(draft))
    idle = (*idle, *_offloaded(draft), *_laid_out(draft), *not_sharded(draft))
    return draft.updated(*_schedule(draft), *idle, *chosen(draft), *_variables(draft))


def _schedule(draft: Draft) -> Iterator[Diagnostic]:
    spec, train = draft.spec, draft.spec.config.train
    schedule, epochs = train.schedule, spec.beside(f"{train.epochs} epochs", "train", "epochs")
    at: Path = ("train", "schedule", "warmup_epochs")
    if 0 < train.epochs <= schedule.warmup_epochs:
        message = f"the warm-up takes all epochs of the training, which has {train.epochs}: `lr` is never reached"
        yield spec.warning("SPC611", message, *at, label="as long as the training", secondary=epochs)
    for i, milestone in enumerate(schedule.milestones if schedule.by == "epochs" else ()):
        if milestone >= train.epochs:
            message = f"the milestone {milestone} is never reached: the training has {train.epochs} epochs"
            at = ("train", "schedule", "milestones", i)
            yield spec.warning("SPC612", message, *at, label="after the end", secondary=epochs)


def _laid_out(draft: Draft) -> Iterator[Diagnostic]:
    """Only images have pixels whose channels could come last."""
    sizes, text = draft.spec.config.data.image_size, TASKS[draft.spec.config.task].input.dtype == "int64"
    if draft.spec.config.train.memory_format != "channels_last":
        return
    if text or (isinstance(sizes, list) and len(sizes) != 2):
        message = "`memory_format: channels_last` has no effect: it is defined for images"
        told = f"{len(sizes)} size{'s' * (len(sizes) > 1)}" if isinstance(sizes, list) else ""
        beside = draft.spec.beside("of texts", "task") if text else draft.spec.beside(told, "data", "image_size")
        yield draft.spec.warning("SPC108", message, "train", "memory_format", label="ignored", key=True,
                                 secondary=beside)  # fmt: skip


# -- options without effect ---------------------------------------------------------------------------------------


def _idle(draft: Draft, config: Any, path: Path) -> Iterator[Diagnostic]:
    """Fields marked `only_with` that are set where the fields beside them say otherwise."""
    if isinstance(config, (list, tuple)):
        for i, item in enumerate(config):
            yield from _idle(draft, item, (*path, i))
    if not isinstance(config, Config):
        return
    for name in config.model_fields_set:
        field = type(config).model_fields[name]
        here = (*path, field.alias or name)
        for other, values in _conditions(field).items():
            idle = getattr(config, other) not in values and getattr(config, name) != field.get_default()
            if idle and not _of_a_package(config, other):
                yield _no_effect(draft, here, other, getattr(config, other), values)
        yield from _idle(draft, getattr(config, name), here)


def _of_a_package(config: Config, name: str) -> bool:
    """Whether what a field names is added by a package, which alone knows what has an effect on it."""
    notes = type(config).model_fields[name].metadata
    return any(isinstance(note, OneOf) and getattr(config, name) not in note.registry.own for note in notes)


def _conditions(field: FieldInfo) -> dict[str, list[str]]:
    extra = field.json_schema_extra
    return extra.get("only_with", {}) if isinstance(extra, dict) else {}  # type: ignore[return-value]


def _no_effect(draft: Draft, path: Path, other: str, value: Any, values: list[str]) -> Diagnostic:
    *where, key = path
    names = " or ".join(f"`{v}`" for v in values)
    message = f"`{key}` has no effect: it belongs to {other} {names}, and `{other}` is `{value}`"
    beside = draft.spec.beside("because of this", *where, other)
    return draft.spec.warning("SPC108", message, *path, label="ignored", secondary=beside, key=True)


def _unsmoothed(draft: Draft) -> Iterator[Diagnostic]:
    task = TASKS[draft.spec.config.task]
    if draft.spec.config.train.label_smoothing and not loss_fault(task.loss) and LOSSES[task.loss].smoothed is None:
        message = f"`label_smoothing` has no effect: the loss of `{task.name}`, `{task.loss}`, has no classes to smooth"
        at = ("train", "label_smoothing")
        yield draft.spec.warning("SPC108", message, *at, label="ignored", key=True)


def _not_captured(draft: Draft) -> Iterator[Diagnostic]:
    spec, train = draft.spec, draft.spec.config.train
    reason = train.not_captured or (NO_GRAPH if spec.device == "cpu" else None)
    if train.graphs and reason:
        help = ("leave `graphs` out; steps run as ever",)
        message = f"`graphs` has no effect: {reason}"
        yield spec.warning("SPC618", message, "train", "graphs", label="not captured", help=help, key=True)


def _offloaded(draft: Draft) -> Iterator[Diagnostic]:
    """What works on a device's parameters in ways of its own, where these are the host's."""
    spec, config = draft.spec, draft.spec.config
    beside = {
        ("train", "instructions"): "what packages add to a step may change parameters, which would be the device's own",
        ("devices", "shard"): "of a sharded block no device has all parameters to move",
    }
    set_too = {at: why for at, why in beside.items() if getattr(getattr(config, at[0]), at[1])}
    for at, why in set_too.items() if config.train.offload else ():
        message = f"`train.offload` and `{'.'.join(at)}` cannot be together: {why}"
        help = ("leave one of them out",)
        found = spec.beside("this works on the device", *at)
        yield spec.error("SPC619", message, "train", "offload", label="not with this", help=help, secondary=found)


# -- variables ----------------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{[^}]*\}")


def _variables(draft: Draft) -> Iterator[Diagnostic]:
    """`${NAME}` outside of the fields that read the environment."""
    readers = paths_that_read_environment()
    for path in paths_below(draft.spec.tree.data, ()):
        text = reduce(getitem, path, draft.spec.tree.data)
        match = _VARIABLE.search(text) if isinstance(text, str) else None
        if match and tuple(map(str, path)) not in readers:
            names = ["`" + ".".join(reader) + "`" for reader in readers]
            help = (f"only {', '.join(names)} may read the environment; elsewhere use `specc run SPEC key=value`",)
            message = f"`{match[0]}` is not replaced here"
            yield draft.spec.error("SPC111", message, *path, label="plain text", help=help)
