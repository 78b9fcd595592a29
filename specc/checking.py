"""Everything that is wrong with a spec, in one go: its text, its keys and values, and what they mean together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .diagnostics import Diagnostic, SpecError, sort
from .pipeline import CHECKS, PASSES, run_passes
from .spec.load import Reading, Spec, parse_spec, read_spec
from .system.devices import Device


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


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Spec:
    """Read and validate a spec file. Raises `SpecError` with all that is wrong, `OSError` when it cannot be read."""
    reading = read_spec(path, overrides)
    if reading.spec is None or any(d.is_error for d in reading.diagnostics):
        raise SpecError(examine(reading).diagnostics, reading.sources)
    return reading.spec  # what it means is checked when it is compiled
