"""From a file or text to a validated `Spec`, or to all that is wrong with it at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from ..diagnostics import Diagnostic, Label, Severity, Span, SpecError
from ..language.overrides import override
from ..language.source import Path, Tree, decode, parse, parse_bytes, read_bytes
from ..system.devices import Device
from ..tasks.own.facts import GIVEN, Facts
from .alternatives import likely_errors
from .explain import explain
from .explain_layers import explain_names
from .extend import extend
from .models import SpecModel


@dataclass(frozen=True)
class Spec:
    """A validated spec, with the text it came from and the position of everything in it."""

    config: SpecModel
    tree: Tree
    warnings: tuple[Diagnostic, ...] = field(default=())
    written: Tree | None = None  # as the author wrote it, where the tree is only the valid part of that
    device: Device = "cuda"  # for which the memory is predicted
    facts: Facts | None = None  # of data that are handed over from Python

    @property
    def sources(self) -> Mapping[str, str]:
        """The texts that positions point into, by file name."""
        return self.tree.sources

    def with_config(self, config: SpecModel) -> Spec:
        """The same text, read as another configuration: what a search tries."""
        return replace(self, config=config)

    def on(self, device: Device) -> Spec:
        """The same spec, predicted for another device."""
        return replace(self, device=device)

    def of_data(self, facts: Facts) -> Spec:
        """The same spec, trained on data that are handed over, whichever it names itself.

        Where it does not say how many images a step takes, a loader does.
        """
        said = "batch_size" in self.config.data.model_fields_set or not facts.batch_size
        more = {} if said else {"batch_size": facts.batch_size}
        config = self.config.changed("data", dataset=GIVEN, module=None, args=None, samples=None, **more)
        return replace(self, config=config, facts=facts)

    def span(self, *path: str | int, key: bool = False) -> Span:
        """Where the spec says `path`; the nearest thing around it where it says nothing."""
        return self.tree.span(path, key=key)

    def error(self, code: str, message: str, *path: str | int, label: str = "", help: Sequence[str] = (),
              secondary: Sequence[Label] = (), key: bool = False) -> Diagnostic:  # fmt: skip
        """An error at `path`."""
        return Diagnostic(code, message, self.span(*path, key=key), label, secondary=tuple(secondary), help=tuple(help))

    def warning(self, code: str, message: str, *path: str | int, label: str = "", help: Sequence[str] = (),
                secondary: Sequence[Label] = (), key: bool = False) -> Diagnostic:  # fmt: skip
        """A warning at `path`."""
        found = self.error(code, message, *path, label=label, help=help, secondary=secondary, key=key)
        return replace(found, severity=Severity.WARNING)

    def note(self, code: str, message: str, *path: str | int, label: str = "", help: Sequence[str] = (),
             secondary: Sequence[Label] = (), key: bool = False) -> Diagnostic:  # fmt: skip
        """A note at `path`: what was decided where the spec left it open."""
        found = self.error(code, message, *path, label=label, help=help, secondary=secondary, key=key)
        return replace(found, severity=Severity.NOTE)

    def beside(self, text: str, *path: str | int) -> tuple[Label, ...]:
        """A remark on a second place; nothing where the spec does not say `path`."""
        return (Label(self.span(*path), text),) if path in self.tree.values else ()


_OF_PARENTS = ("SPC102", "SPC107")  # something is missing, or does not go together with what is there
_ROUNDS = 6  # leaving out a value can make the mapping around it wrong, and so on outwards
# What no spec can do without:
_STAND_IN: dict[str, Any] = {"specc": 1, "name": "spec", "backbone": {"family": "resnet_cifar"}}


@dataclass(frozen=True)
class Reading:
    """What became of a text: the spec, as far as it is valid, what is wrong, and which paths cannot be relied on."""

    spec: Spec | None
    diagnostics: tuple[Diagnostic, ...]
    sources: Mapping[str, str]
    unreliable: frozenset[Path] = frozenset()


def read_spec(source: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Reading:
    """Read a spec file; `OSError` when that cannot be done."""
    return read_bytes_as_spec(read_bytes(source), os.fspath(source), overrides)


def read_bytes_as_spec(raw: bytes, name: str, overrides: Sequence[str] = ()) -> Reading:
    """Read a spec from the bytes of a file."""
    return _reading(*parse_bytes(raw, name), overrides, {name: decode(raw)})


def parse_spec(text: str, name: str = "<string>", overrides: Sequence[str] = ()) -> Reading:
    """Read a spec given as text."""
    return _reading(*parse(text, name), overrides, {name: text})


def loads(text: str, name: str = "<string>", overrides: Sequence[str] = ()) -> Spec:
    """Validate a spec given as text; raises `SpecError`."""
    reading = parse_spec(text, name, overrides)
    if reading.spec is None or any(d.is_error for d in reading.diagnostics):
        raise SpecError(reading.diagnostics, reading.sources)
    return reading.spec


def _reading(
    tree: Tree | None, found: list[Diagnostic], overrides: Sequence[str], sources: Mapping[str, str]
) -> Reading:
    if tree is None:
        return Reading(None, tuple(found), sources)
    extended = extend(tree)
    tree, more = override(extended.tree, overrides)
    written = (*found, *extended.diagnostics, *more)
    if not extended.whole:
        return Reading(None, (*written, *_errors_without_parent(tree, written)), tree.sources)
    try:
        config = SpecModel.model_validate(tree.data)
    except ValidationError as error:
        return _reading_of_valid_part(tree, written, error)
    return Reading(Spec(config, tree, written), written, tree.sources, unreliable_paths(written, tree))


def _errors_without_parent(tree: Tree, written: tuple[Diagnostic, ...]) -> Iterator[Diagnostic]:
    """What is wrong with a spec whose parent is missing, but for what the parent may well have said."""
    try:
        SpecModel.model_validate(tree.data)
    except ValidationError as error:
        yield from (
            d for _, d in explain(error, tree) if d.code not in _OF_PARENTS and not _reported_already(d, written)
        )


def _reading_of_valid_part(tree: Tree, written: tuple[Diagnostic, ...], error: ValidationError) -> Reading:
    """The reading of a spec with invalid values: those are left out."""
    explained = explain(error, tree)
    names = explain_names(tree, {path for path, _ in explained})
    diagnostics = (*written, *(d for _, d in explained if not _reported_already(d, written)), *names)
    left = _valid_part(tree)
    if left is None:
        return Reading(None, diagnostics, tree.sources)
    config, rest, lost = left
    unreliable = paths_at(lost, tree) | {path for path, _ in explained} | unreliable_paths(written, tree)
    return Reading(Spec(config, rest, diagnostics, tree), diagnostics, tree.sources, unreliable)


def _valid_part(tree: Tree) -> tuple[SpecModel, Tree, frozenset[Span]] | None:
    """The part of the spec that is valid, and the places of what was left out."""
    lost: set[Span] = set()
    for _ in range(_ROUNDS):
        try:
            return SpecModel.model_validate(tree.data), tree, frozenset(lost)
        except ValidationError as error:
            wrong = {found.path for found in likely_errors(error.errors(include_url=False), tree.data)}
        lost |= {tree.span(path) for path in wrong if path}
        complete = replace(tree, data={**_STAND_IN, **tree.data}) if () in wrong else tree
        tree = complete.without(wrong - {()})
    return None


def _reported_already(diagnostic: Diagnostic, written: tuple[Diagnostic, ...]) -> bool:
    """Whether YAML itself objects to the text: then it is not judged twice."""
    span = diagnostic.span
    return span is not None and any(
        d.is_error and d.span and (d.span == span or (d.code == "SPC014" and _follows(d.span, span))) for d in written
    )


def _follows(first: Span, second: Span) -> bool:
    return first.end_line == second.line and 0 <= second.column - first.end_column <= 1


def unreliable_paths(diagnostics: Iterable[Diagnostic], tree: Tree) -> frozenset[Path]:
    """What the errors among the diagnostics point at, as paths of the spec."""
    return paths_at({span for d in diagnostics if d.is_error for span in d.spans}, tree)


def paths_at(places: Collection[Span], tree: Tree) -> frozenset[Path]:
    """The paths whose values or keys stand at the given places."""
    if not places:
        return frozenset()
    return frozenset(path for spans in (tree.values, tree.keys) for path, span in spans.items() if span in places)
