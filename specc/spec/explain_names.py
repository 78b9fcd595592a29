"""Names of layers where some layers cannot be read: what their graph would say of names must not hide behind that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from specc.diagnostics import Diagnostic, did_you_mean
from specc.graph.graph import INPUT
from specc.language.source import Path, Tree

LAYERS: Path = ("backbone", "layers")


def explain_names(tree: Tree, unreliable: Collection[Path]) -> Iterator[Diagnostic]:
    """Layers that read what no layer is called; nothing where all layers can be read, as their graph says it then."""
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
    backbone = tree.data.get("backbone")
    layers = backbone.get("layers") if isinstance(backbone, Mapping) else None
    return {i: item for i, item in enumerate(layers if isinstance(layers, list) else ()) if isinstance(item, Mapping)}


def _sources(layer: Mapping[Any, Any]) -> list[str]:
    written = layer.get("from")
    return [name for name in (written if isinstance(written, list) else [written]) if isinstance(name, str)]
