"""From a file or text to a validated `Spec`, or to all that is wrong with it at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from ..diagnostics import Diagnostic, Label, Severity, Span, SpecError
from .explain import explain
from .models import SpecModel
from .source import Path, Tree, parse, read


@dataclass(frozen=True)
class Spec:
    """A validated spec, with the text it came from and the position of everything in it."""

    config: SpecModel
    tree: Tree
    warnings: tuple[Diagnostic, ...] = field(default=())

    @property
    def sources(self) -> Mapping[str, str]:
        """The texts that positions point into, by file name."""
        return self.tree.sources

    def span(self, *path: str | int, key: bool = False) -> Span:
        """Where the spec says `path`; the nearest thing around it where it says nothing."""
        return self.tree.span(path, key=key)

    def error(self, code: str, message: str, *path: str | int, label: str = "", help: Sequence[str] = (),
              secondary: Sequence[Label] = (), key: bool = False) -> Diagnostic:  # fmt: skip
        """An error at `path`."""
        return Diagnostic(
            code, message, self.span(*path, key=key), label, Severity.ERROR, tuple(secondary), tuple(help)
        )

    def warning(
        self, code: str, message: str, *path: str | int, label: str = "", help: Sequence[str] = ()
    ) -> Diagnostic:
        """A warning at `path`."""
        return Diagnostic(code, message, self.span(*path), label, Severity.WARNING, (), tuple(help))


def load(source: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Spec:
    """Read and validate a spec file; raises `SpecError` with every diagnostic, `OSError` when it cannot be read."""
    path = FilePath(source)
    return validate(*read(path), overrides, name=os.fspath(source), text_of=lambda: path.read_text(errors="replace"))


def loads(text: str, name: str = "<string>", overrides: Sequence[str] = ()) -> Spec:
    """Validate a spec given as text."""
    return validate(*parse(text, name), overrides, name=name, text_of=lambda: text)


def validate(tree: Tree | None, found: list[Diagnostic], overrides: Sequence[str], *, name: str, text_of: Any) -> Spec:
    """The spec of a located tree; raises `SpecError`."""
    if tree is None:
        raise SpecError(found, {name: text_of()})
    tree, more = tree.with_overrides(overrides)
    diagnostics = [*found, *more]
    config, more = check(tree)
    diagnostics += more
    if config is None or any(d.is_error for d in diagnostics):
        raise SpecError(diagnostics, tree.sources)
    return Spec(config, tree, tuple(diagnostics))


def check(tree: Tree) -> tuple[SpecModel | None, list[Diagnostic]]:
    """The models' own validation, as diagnostics."""
    try:
        return SpecModel.model_validate(tree.data), []
    except ValidationError as error:
        return None, explain(error, tree)


def at(tree: Tree, path: Path) -> Any:
    """The plain value at a path."""
    value = tree.data
    for part in path:
        value = value[part]
    return value
