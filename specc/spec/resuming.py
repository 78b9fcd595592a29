"""With which keys changed a run may go on, and what is said of all others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..diagnostics import Diagnostic, SpecError
from ..language.source import Path
from .dump import plain
from .load import Spec, loads

# They decide how long, how, and from where a run is trained, not what: but for `train.epochs` and
# `train.early_stopping`, they are what a plan's fingerprint does not know.
MAY_CHANGE: tuple[Path, ...] = (
    ("train", "epochs"), ("train", "early_stopping"), ("train", "checkpoint"), ("train", "log"),
    ("train", "compile"), ("train", "graphs"), ("train", "offload"),
    ("data", "workers"), ("data", "root"), ("data", "download"),
    ("devices",), ("budget",),
)  # fmt: skip
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Changed:
    """A spec as it was, as it is to be, and what differs: old and new value by path."""

    before: Spec
    after: Spec
    values: dict[Path, tuple[Any, Any]]

    @property
    def keys(self) -> list[Path]:
        """Those of `MAY_CHANGE` that differ."""
        return [key for key in MAY_CHANGE if any(path[: len(key)] == key for path in self.values)]

    def told(self) -> Iterator[str]:
        """The differences, for people."""
        for path, (old, new) in self.values.items():
            yield f"{dotted(path)}: {written(old)} -> {written(new)}"


def changed(text: str, name: str, overrides: Sequence[str]) -> Changed:
    """What overrides change in a run's resolved spec; raises `SpecError` where it would be another run."""
    before, after = loads(text, name), loads(text, name, overrides)
    values = dict(differences(plain(before.config), plain(after.config)))
    refused = {path: both for path, both in values.items() if not any(path[: len(key)] == key for key in MAY_CHANGE)}
    if refused:
        raise SpecError([_refused(after, path, *both) for path, both in refused.items()], after.sources)
    return Changed(before, after, values)


def _refused(spec: Spec, path: Path, old: Any, new: Any) -> Diagnostic:
    return cannot_change(spec, path, "that would be another run", f"it was {written(old)}, and would be {written(new)}")


def cannot_change(spec: Spec, path: Path, why: str, label: str) -> Diagnostic:
    """Why a run cannot go on with a key changed."""
    help = (
        f"start it anew with the change: specc run {spec.tree.name} {dotted(path)}=...",
        f"what may be changed: {', '.join(map(dotted, MAY_CHANGE))}",
    )
    return spec.error(
        "SPC630", f"a run cannot go on with `{dotted(path)}` changed: {why}", *path, label=label, help=help
    )


def differences(before: Any, after: Any, at: Path = ()) -> Iterator[tuple[Path, tuple[Any, Any]]]:
    """Where two documents differ, and in what; lists are compared as a whole."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if before != after:
            yield at, (before, after)
        return
    for key in [*before, *(key for key in after if key not in before)]:
        yield from differences(before.get(key, _ABSENT), after.get(key, _ABSENT), (*at, key))


def dotted(path: Path) -> str:
    """A path as the command line has it."""
    return ".".join(map(str, path))


def written(value: Any) -> str:
    """A value as a spec says it, on one line.

    >>> [written(value) for value in (1, True, "sgd", None, [1, 2], {"a": "b"})]
    ['1', 'true', 'sgd', 'null', '[1, 2]', '{a: b}']
    """
    if value is _ABSENT:
        return "absent"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False)
