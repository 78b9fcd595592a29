"""Everything that is wrong with a spec, in one go: its text, its keys and values, and what they mean together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .compiler.draft import Draft
from .compiler.expand import resolve_data
from .diagnostics import Diagnostic, SpecError, sort
from .graph.families.traced_module import TracedModule, described
from .graph.traced.backbone import Backbone
from .graph.traced.tracing import give
from .pipeline import BEFORE_SPLIT, CHECKS, PASSES, run_passes
from .spec.load import Reading, Spec, parse_spec, read_spec
from .spec.models import SpecModel
from .spec.own_data import placed
from .system.devices import Device
from .tasks.datasets import OptionError, ResolvedData
from .tasks.folders import FolderError
from .tasks.own.facts import OwnDataError, like_those_of
from .tasks.registry import TASKS


@dataclass(frozen=True, slots=True)
class Report:
    """All diagnostics of one spec in file order, the texts they point into, and the spec if it has no errors."""

    diagnostics: tuple[Diagnostic, ...]
    sources: Mapping[str, str]
    spec: Spec | None = None


def check(path: str | os.PathLike[str], overrides: Sequence[str] = (), device: Device = "cuda") -> Report:
    """Read a file and check all of it, a budget by the rules of a device; `OSError` when it cannot be read."""
    reading = read_spec(path, overrides)
    return examine(reading if reading.spec is None else replace(reading, spec=reading.spec.on(device)))


def check_text(text: str, name: str = "<string>", overrides: Sequence[str] = ()) -> Report:
    """Check a spec given as text."""
    return examine(parse_spec(text, name, overrides))


def examine(reading: Reading) -> Report:
    """What was found while reading, and what the compiler's checks find in the parts that could be read.

    Where there is a budget, the memory is predicted as well; where there are several devices, their parts are made.
    """
    if reading.spec is None:
        return Report(sort(reading.diagnostics), reading.sources)
    config = reading.spec.config
    passes = PASSES if config.budget or config.devices.count > 1 else CHECKS
    draft = run_passes(reading.spec, passes, reading.unreliable)
    found = sort((*reading.diagnostics, *draft.diagnostics))
    return Report(found, reading.sources, None if any(d.is_error for d in found) else reading.spec)


Source = str | os.PathLike[str] | Mapping[str, Any]  # a file, or the keys of a spec
OF_PYTHON = {"specc": 1, "name": "spec"}  # what a mapping of Python's need not say


def load(source: Source, overrides: Sequence[str] = ()) -> Spec:
    """Read and validate a spec. Raises `SpecError` with all that is wrong, `OSError` when it cannot be read."""
    reading = _read(source, overrides)
    if reading.spec is None or any(d.is_error for d in reading.diagnostics):
        raise SpecError(examine(reading).diagnostics, reading.sources)
    return reading.spec  # what it means is checked when it is compiled


def _read(source: Source, overrides: Sequence[str]) -> Reading:
    if not isinstance(source, Mapping):
        return read_spec(source, overrides)
    text = json.dumps({**OF_PYTHON, **source}, indent=2, allow_nan=False)
    return parse_spec(text, "<mapping>", overrides)


def given(source: Source | Spec, overrides: Sequence[str], backbone: Backbone) -> Spec:
    """The spec with a traced module as its backbone, and of the module's samples where it names no data set."""
    give(backbone.source, backbone.graph)
    family = described(backbone)
    if isinstance(source, Spec):
        notes = _replaced(source, backbone)
    else:
        said = json.dumps(family.model_dump(mode="json", exclude_defaults=True), allow_nan=False)
        notes = _replaced(_read(source, overrides).spec, backbone)
        source = load(source, [*overrides, f"backbone={said}"])
    source = replace(source, warnings=(*source.warnings, *notes))
    config = source.config.model_copy(update={"backbone": family})
    named = _names_data(source)
    if not named and backbone.source.parts:
        return _of_several(source.with_config(config), backbone)
    if not named:
        config = config.changed("data", **_like(config, backbone))
    return source.with_config(config)


def _replaced(spec: Spec | None, backbone: Backbone) -> Iterator[Diagnostic]:
    """That what a spec says of a network is not looked at."""
    if spec is not None and ("backbone",) in spec.tree.values and not isinstance(spec.config.backbone, TracedModule):
        message = f"`backbone` has no effect: the module that Python gives, a `{backbone.name}`, stands in its place"
        yield spec.note("SPC108", message, "backbone", label="not looked at", key=True)


def sample_of(source: Source | Spec, overrides: Sequence[str]) -> ResolvedData | None:
    """The data set that a spec names, whatever its backbone is; nothing where it names none."""
    if not isinstance(source, Spec):
        anything = json.dumps({"traced": "module", "digest": "0", "image": [1]}, allow_nan=False)
        source = load(source, [*overrides, f"backbone={anything}"])
    if not _names_data(source):
        return None
    try:
        return resolve_data(Draft(source.with_config(placed(source, source.config)), ()))
    except (OptionError, FolderError, OwnDataError):
        raise SpecError(run_passes(source, BEFORE_SPLIT).diagnostics, source.sources) from None


def _names_data(spec: Spec) -> bool:
    return any(("data", key) in spec.tree.values for key in ("dataset", "module"))


def _of_several(spec: Spec, backbone: Backbone) -> Spec:
    """The spec of samples like a traced module's example, which is several inputs."""
    data, kind = spec.config.data, TASKS[spec.config.task].kind
    classes = data.classes or backbone.output[0]
    spec = spec.with_config(spec.config.changed("data", classes=classes))
    return spec.of_data(like_those_of(backbone.source.parts, kind, classes, data.batch_size))


def _like(config: SpecModel, backbone: Backbone) -> dict[str, Any]:
    """Images, or texts, of the shape of a traced module's example, where the spec says nothing else."""
    classes = backbone.output[0] if backbone.output[0] > 1 else None
    facts: dict[str, Any] = {"classes": classes, "samples": config.data.batch_size}
    if backbone.source.dtype == "int64" and len(backbone.input) == 1:
        facts |= {"length": backbone.input[0], "vocabulary": backbone.graph.vocabulary or None}
    else:
        facts |= {"image_size": [*backbone.input[1:]], "channels": backbone.input[0]}
    unsaid = {key: value for key, value in facts.items() if getattr(config.data, key) is None}
    return {"dataset": "synthetic", **unsaid}
