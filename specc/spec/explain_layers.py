"""Errors in lists of layers and ops as diagnostics: one for every wrong argument, not only for the first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from specc.diagnostics import Diagnostic, did_you_mean
from specc.graph.faults import faults, unknown_op
from specc.graph.graph import INPUT
from specc.graph.ops.entry import kind_of
from specc.graph.patterns import OWN_KEYS, waits
from specc.language.source import Path, Tree
from specc.spec.lookup import show_path
from specc.system.plugins import PluginError

LAYERS: Path = ("backbone", "layers")
_EXAMPLE = ("write it like `{op: conv, out: 64}`",)


def explain_op(detail: ErrorDetails, path: Path, tree: Tree) -> Iterator[Diagnostic]:
    """Everything that is wrong with an op in a list of layers."""
    value: Any = tree.data
    for part in path:
        value = value[part]
    if not isinstance(value, Mapping):
        yield Diagnostic(
            "SPC103", f"{show_path(path)} is not an op", tree.span(path), "expected a mapping", help=_EXAMPLE
        )
        return
    named = path[:2] in (("backbone", "layers"), ("backbone", "define"))
    own = OWN_KEYS if named else ()
    context = detail.get("ctx", {})
    if named and context.get("name") == "layer":
        yield _own_key(str(context["key"]), str(context.get("reason", "")), path, tree)
    if path[1] == "define" or (named and waits(value)):
        return  # its arguments are looked at when it is placed
    yield from _entry({str(k): v for k, v in value.items() if k not in own}, own, path, tree)


def _of_backbone(tree: Tree, key: str) -> Any:
    """What the backbone says under a key, in a spec that may be wrong in any way."""
    backbone = tree.data.get("backbone")
    return backbone.get(key) if isinstance(backbone, Mapping) else None


def _own_key(key: str, reason: str, path: Path, tree: Tree) -> Diagnostic:
    if (*path, key) not in tree.values:
        return Diagnostic("SPC102", f"missing key `{key}` in {show_path(path)}", tree.span(path), f"needs `{key}`")
    reason = reason.replace("Input should be", "must be")
    return Diagnostic("SPC103", f"{show_path((*path, key))} {reason}", tree.span((*path, key)), reason)


def _entry(value: dict[str, Any], own: tuple[str, ...], path: Path, tree: Tree) -> Iterator[Diagnostic]:
    name = value.pop("op", None)
    if not isinstance(name, str):
        yield Diagnostic(
            "SPC102", f"missing key `op` in {show_path(path)}", tree.span(path), "needs `op`", help=_EXAMPLE
        )
        return
    try:
        kind = kind_of(name)
    except PluginError as error:
        at = tree.span((*path, "op"))
        yield Diagnostic("SPC112", str(error), at, "cannot be used", help=(error.help,))
        return
    if kind is None:
        groups = _of_backbone(tree, "define")
        help = unknown_op(name, list(map(str, groups)) if isinstance(groups, Mapping) else [])
        yield Diagnostic("SPC203", f"unknown op `{name}`", tree.span((*path, "op")), "not in the vocabulary", help=help)
        return
    for fault in faults(kind, value, own):
        span = tree.span((*path, *fault.path), key=fault.named)
        yield Diagnostic(fault.code, fault.message, span, fault.label, help=fault.help)


def explain_names(tree: Tree, unreliable: Collection[Path]) -> Iterator[Diagnostic]:
    """Layers that read what no layer is called, which must not hide behind layers that cannot be read.

    Nothing where all layers can be read, as their graph says it then.
    """
    layers = _layers(tree)
    if not any(path[: len(LAYERS)] == LAYERS for path in unreliable):
        return
    names = [str(layer["name"]) for layer in layers.values() if layer.get("name") is not None]
    for i, layer in layers.items():
        for name in _sources(layer):
            if name != INPUT and not any(name == known or name.startswith(f"{known}.") for known in names):
                at = (*LAYERS, i, "from")
                help = did_you_mean(name, names)
                yield Diagnostic("SPC201", f"no layer is called `{name}`", tree.span(at), "unknown layer", help=help)


def _layers(tree: Tree) -> dict[int, Mapping[Any, Any]]:
    """What is written in the list of layers, as far as it looks like layers."""
    layers = _of_backbone(tree, "layers")
    return {i: item for i, item in enumerate(layers if isinstance(layers, list) else ()) if isinstance(item, Mapping)}


def _sources(layer: Mapping[Any, Any]) -> list[str]:
    written = layer.get("from")
    return [name for name in (written if isinstance(written, list) else [written]) if isinstance(name, str)]
