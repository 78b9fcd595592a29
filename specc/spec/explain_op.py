"""Errors in lists of ops as diagnostics: one for every wrong argument, not only for the first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from specc.backbone.layers import OWN_KEYS
from specc.backbone.macros import MACROS
from specc.backbone.ops import OPS
from specc.backbone.ops.entry import arguments, kind_of
from specc.backbone.ops.ranges import adapter
from specc.diagnostics import Diagnostic, did_you_mean, suggest
from specc.spec.lookup import place
from specc.spec.source import Path, Tree

_EXAMPLE = ("write it like `{op: conv, out: 64}`",)


def explain_op(detail: ErrorDetails, path: Path, tree: Tree) -> Iterator[Diagnostic]:
    """Everything that is wrong with an op in a list of layers."""
    value: Any = tree.data
    for part in path:
        value = value[part]
    if not isinstance(value, Mapping):
        yield Diagnostic("SPC103", f"{place(path)} is not an op", tree.span(path), "expected a mapping", help=_EXAMPLE)
        return
    named = path[:2] == ("backbone", "layers")
    own = OWN_KEYS if named else ()
    context = detail.get("ctx", {})
    if named and context.get("name") == "layer":
        yield _own_key(str(context["key"]), str(context.get("reason", "")), path, tree)
    yield from _entry({str(k): v for k, v in value.items() if k not in own}, own, path, tree)


def _own_key(key: str, reason: str, path: Path, tree: Tree) -> Diagnostic:
    if (*path, key) not in tree.values:
        return Diagnostic("SPC102", f"missing key `{key}` in {place(path)}", tree.span(path), f"needs `{key}`")
    reason = reason.replace("Input should be", "must be")
    return Diagnostic("SPC103", f"{place((*path, key))} {reason}", tree.span((*path, key)), reason)


def _entry(value: dict[str, Any], own: tuple[str, ...], path: Path, tree: Tree) -> Iterator[Diagnostic]:
    name = value.pop("op", None)
    if not isinstance(name, str):
        yield Diagnostic("SPC102", f"missing key `op` in {place(path)}", tree.span(path), "needs `op`", help=_EXAMPLE)
        return
    kind = kind_of(name)
    if kind is None:
        help = did_you_mean(name, [*OPS, *MACROS])
        yield Diagnostic("SPC203", f"unknown op `{name}`", tree.span((*path, "op")), "not in the vocabulary", help=help)
        return
    try:
        adapter(kind).validate_json(json.dumps(value))
    except ValidationError as error:
        yield from _arguments(error, kind, own, path, tree)


def _arguments(error: ValidationError, kind: Any, own: tuple[str, ...], path: Path, tree: Tree) -> Iterator[Diagnostic]:
    wrong: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        wrong.setdefault(str(detail["loc"][0]) if detail["loc"] else "", detail["msg"])
    valid = list(arguments(kind))
    meant = {suggest(key, valid, kind.aliases) for key in wrong if key not in valid}
    for key, message in wrong.items():
        reason = message.replace("Input should be", "must be").removeprefix("Value error, ")
        if key and key not in valid:
            help = did_you_mean(key, [*valid, *own], kind.aliases)
            text, label = f"unknown argument `{key}` of `{kind.name}`", f"not an argument of `{kind.name}`"
            yield Diagnostic("SPC204", text, tree.span((*path, key), key=True), label, help=help)
        elif (*path, key) in tree.values:
            text = f"the argument `{key}` of `{kind.name}` {reason}" if key else f"`{kind.name}`: {reason}"
            yield Diagnostic("SPC206", text, tree.span((*path, key) if key else path), reason)
        elif key not in meant:
            text = f"`{kind.name}` needs the argument `{key}`"
            yield Diagnostic("SPC205", text, tree.span(path), f"`{key}` is missing")
