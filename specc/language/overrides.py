"""`path.to.key=value` arguments, applied to a located tree as if they had been written in the file."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from specc.diagnostics import Diagnostic, Span
from specc.language.compose import MAX_DEPTH, compose
from specc.language.nodes import Locator, Node
from specc.language.source import CLI, Path, Tree, expand, first_name, paths_below

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_HELP = "write `path.to.key=value`, like `train.epochs=2`"


@dataclass(frozen=True, slots=True)
class _Key:
    """One part of an override's path, and where it stands."""

    text: str
    span: Span

    @property
    def name(self) -> str | int:
        """As YAML would read it: a number is one."""
        return int(self.text) if _INDEX.fullmatch(self.text) else self.text

    def wrong(self, code: str, message: str, label: str, *help: str) -> Diagnostic:
        return Diagnostic(code, message, self.span, label, help=help)


def override(tree: Tree, assignments: Sequence[str]) -> tuple[Tree, list[Diagnostic]]:
    """The tree with the assignments in force that can be applied, and what is wrong with the others."""
    if not assignments:
        return tree, []
    editor = _Editor(tree)
    diagnostics: list[Diagnostic] = []
    line = 1
    for assignment in assignments:
        locator = Locator(CLI, assignment, line)
        diagnostics += editor.assign(locator)
        line += len(locator.starts)  # one, unless the shell passed line breaks
    edited = replace(tree, data=editor.data, values=editor.values, keys=editor.keys, cli_text="\n".join(assignments))
    return edited, diagnostics


class _Editor:
    """A copy of a tree, under change."""

    def __init__(self, tree: Tree) -> None:
        self.data = copy.deepcopy(tree.data)
        self.values = dict(tree.values)
        self.keys = dict(tree.keys)

    def assign(self, locator: Locator) -> list[Diagnostic]:
        """Apply one assignment, or say why not."""
        keys = _keys(locator)
        if isinstance(keys, Diagnostic):
            return [keys]
        value_at = _value_locator(locator)
        root, diagnostics = compose(value_at)
        if root is None:
            return [replace(problem, code="SPC022") for problem in diagnostics] or [_no_value(value_at)]
        if problem := self.write(keys, root, value_at):
            diagnostics.append(problem)
        return diagnostics

    def write(self, keys: list[_Key], root: Node, value_at: Locator) -> Diagnostic | None:
        """Put a value where the keys lead to; a mapping that is missing on the way is made."""
        container: Any = self.data
        path: Path = ()
        for key in keys:
            key = replace(key, text=str(first_name(path, key.text)))
            if problem := _no_place(container, key, path):
                return problem
            path = (*path, key.name)
            if len(path) < len(keys):
                container = self.enter(container, key, path)
        self.put(container, key, path, root, value_at)
        return None

    def enter(self, container: Any, key: _Key, path: Path) -> Any:
        if isinstance(container, list):
            return container[int(key.name)]
        if container.get(key.name) is None:
            container[key.name] = {}
            self.values[path] = self.keys[path] = key.span
        return container[key.name]

    def put(self, container: Any, key: _Key, path: Path, root: Node, value_at: Locator) -> None:
        data, values, keys = expand(root, value_at, path)
        old_data = container.get(key.name) if isinstance(container, dict) else container[key.name]
        for old in paths_below(old_data, path):
            self.values.pop(old, None)
            self.keys.pop(old, None)
        container[key.name] = data
        self.values |= values
        self.keys |= keys
        if isinstance(container, dict):
            self.keys[path] = key.span


def _keys(locator: Locator) -> list[_Key] | Diagnostic:
    """The parts of the path in front of the `=`."""
    written, equals, _ = locator.text.partition("=")
    whole = _Key(written, locator.span(0, len(written)))
    if not equals:
        return whole.wrong("SPC020", f"`{written}` is not an override", "no `=` in it", _HELP)
    keys = [_Key(match[0], locator.span(*match.span())) for match in re.finditer(r"(?:(?<=\.)|^)[^.]*", written)]
    if len(keys) > MAX_DEPTH:
        return whole.wrong("SPC009", "nested too deeply", f"more than {MAX_DEPTH} levels")
    missing = next((key for key in keys if not key.text.strip()), None)
    return missing.wrong("SPC021", "incomplete path", "a key is missing here", _HELP) if missing else keys


def _value_locator(locator: Locator) -> Locator:
    start = locator.text.index("=") + 1
    return Locator(CLI, locator.text[start:], *locator.position(start))


def _no_value(value_at: Locator) -> Diagnostic:
    help = ("write `null` if no value is meant",)
    return Diagnostic("SPC022", "the value is missing", value_at.span(0, 0), "after this `=`", help=help)


def _no_place(container: Any, key: _Key, path: Path) -> Diagnostic | None:
    """Why there can be nothing of this name in the container."""
    where = f"`{'.'.join(map(str, path))}`"
    if isinstance(container, list):
        if isinstance(key.name, int) and key.name < len(container):
            return None
        items = f"its items are 0 to {len(container) - 1}" if container else "it is empty"
        return key.wrong("SPC023", f"no item `{key.text}` in {where}", "not an index of this list", items)
    if isinstance(container, dict):
        return None
    return key.wrong(
        "SPC024", f"{where} has no keys", "it is a plain value", f"set the value itself: {where[1:-1]}=..."
    )
