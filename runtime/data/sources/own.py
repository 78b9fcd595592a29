"""Data sets of torch that were not written for specc: made by a function of the user's file, or handed over."""

from __future__ import annotations

from dataclasses import replace

from runtime.data.augmentation import pipeline_of
from runtime.data.config import DataConfig
from runtime.data.errors import DataError
from runtime.data.own.asking import facts_of
from runtime.data.own.handed import handed
from runtime.data.own.making import made
from runtime.data.own.sets import Set, Sets
from runtime.data.own.split import OwnSplit
from runtime.data.splits import Splits
from runtime.data.workers import crowded
from specc.spec.own_data import named
from specc.tasks.datasets import ResolvedData
from specc.tasks.folders import listed
from specc.tasks.inputs import told as told_inputs
from specc.tasks.own import source as kept
from specc.tasks.own.facts import Facts, OwnDataError


def module(config: DataConfig, info: ResolvedData) -> Splits:
    """What a function of your own file makes of `args`: map-style data sets of torch."""
    assert config.module is not None
    try:
        source = named(config.module, config.args or {}, str(config.folder))
    except OwnDataError as error:
        raise DataError(str(error), error.help, error.code) from None
    sets = made(source)
    facts = facts_of(sets)
    kept.save(source, facts)  # the data may lie in files that came or went since
    return _opened(config, replace(info, files=source.digest), sets, facts)


def given(config: DataConfig, info: ResolvedData) -> Splits:
    """What Python hands over: data sets or loaders of torch."""
    sets = handed()
    return _opened(config, info, sets, facts_of(sets))


def _opened(config: DataConfig, planned: ResolvedData, sets: Sets, facts: Facts) -> Splits:
    _check_planned(config, planned, facts)
    info = replace(
        planned, train_size=facts.train_size, test_size=facts.test_size, validation_size=facts.validation_size
    )
    pipeline = pipeline_of(config, info)

    def split(part: Set) -> OwnSplit:
        workers = config.workers or part.workers
        return OwnSplit(info, part, config.learns, facts.shape, config.ignore_index, workers, pipeline)

    found = {part.role: split(part) for part in sets.parts}
    remarks = crowded(max(config.workers or part.workers for part in sets.parts))
    return Splits(found["train"], found.get("test"), info, remarks, found.get("validation"))


def _check_planned(config: DataConfig, planned: ResolvedData, facts: Facts) -> None:
    """Raise `DataError` where the data are no longer what was kept of them when the network was planned."""
    size = facts.shape[1:] if config.image_size is None else planned.image_size
    now = (facts.shape[0], *size), facts.pixels == "floats", facts.class_names
    then = planned.shape, planned.own_numbers, planned.class_names
    if facts.parts != planned.parts:
        has, had = (told_inputs(parts) if parts else "one input" for parts in (facts.parts, planned.parts))
        what = f"the data sets have other samples than were planned for: {has}, and not {had}"
        raise DataError(what, ["call specc again: it has asked them anew"], "SPC608")
    if now != then:
        told = {True: "floats", False: "bytes"}
        has, had = (
            f"{'×'.join(map(str, shape))} {told[floats]}" + f" of the classes {listed(names)}" * bool(names)
            for shape, floats, names in (now, then)
        )
        what = f"the data sets have other images than were planned for: {has}, and not {had}"
        raise DataError(what, ["call specc again: it has asked them anew"], "SPC608")
