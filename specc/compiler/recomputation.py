"""Which layers a block computes again in its backward: `train.recompute` as runs of layers, and blocks in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, pairwise

from ..diagnostics import Diagnostic, Label, did_you_mean
from ..graph.called import layers_called, names_of
from ..graph.graph import BackboneGraph
from ..language.source import Path
from ..plan import Block, Piece
from ..spec.sections.recompute import Recompute
from .draft import Draft

AT: Path = ("train", "recompute", "layers")


class Named:
    """The runs of layers that `layers` names, and what is wrong with the names."""

    def __init__(self, draft: Draft, entries: Sequence[str | list[str]]) -> None:
        self.draft, self.graph = draft, draft.graph
        self.found: list[Diagnostic] = []
        self.taken: dict[int, Path] = {}  # layers that are named, and where
        self.span = {layer: span for span in self.graph.spans for layer in span}
        self.again: list[range] = []
        together: list[tuple[list[int], Path]] = []
        for i, entry in enumerate(entries):
            if isinstance(entry, str):
                together.append((self._layers(entry, (*AT, i)), (*AT, i)))
            else:
                named = [self._layers(name, (*AT, i, k)) for k, name in enumerate(entry)]
                together.append(([*chain.from_iterable(named)], (*AT, i)))
        for (layers, at), entry in zip(together, entries, strict=True):
            if layers and self._whole(layers, at):
                self.again += [range(min(layers), max(layers) + 1)] if isinstance(entry, list) else self._spans(layers)
        self.again.sort(key=lambda run: run.start)

    def _layers(self, name: str, at: Path) -> list[int]:
        """The layers of a name that are not named yet."""
        layers = layers_called(self.graph, name)
        if not layers:
            names = dict.fromkeys(chain.from_iterable(names_of(layer.name) for layer in self.graph.layers))
            message, help = f"no layer is called `{name}`", did_you_mean(name, names)
            self.found.append(self.draft.spec.error("SPC201", message, *at, label="unknown layer", help=help))
        twice = next((layer for layer in layers if layer in self.taken), None)
        if twice is not None:
            first = (Label(self.draft.spec.span(*self.taken[twice]), "first named here"),)
            message = f"`{self.graph.layers[twice].name}` is to be computed again twice"
            self.found.append(self.draft.spec.error("SPC429", message, *at, label="again", secondary=first))
        fresh = [layer for layer in layers if layer not in self.taken]
        self.taken |= dict.fromkeys(fresh, at)
        return fresh

    def _whole(self, layers: list[int], at: Path) -> bool:
        """Whether a piece is made of these layers: in order, without gaps, and from joint to joint."""
        names = [layer.name for layer in self.graph.layers]
        apart = next(((a, b) for a, b in pairwise(layers) if b != a + 1), None)
        if apart is not None:
            message = (
                f"`{names[apart[1]]}` does not follow `{names[apart[0]]}`, so they are not computed again together"
            )
            help = (f"after `{names[apart[0]]}` comes {_shown(names[apart[0] + 1 : apart[0] + 2]) or 'nothing'}",)
            self._wrong("SPC430", message, at, "not one after the other", help)
            return False
        for span in self._spans(layers):
            if missing := [names[layer] for layer in span if layer not in layers]:
                own = [names[layer] for layer in span if layer in layers]
                message = f"{_shown(own)} cannot be computed again without {_shown(missing)}: more than one tensor, or "
                message += "one that nobody may cut at, passes between them"
                help = (f"name them together: `[{', '.join(names[layer] for layer in span)}]`",)
                self._wrong("SPC431", message, at, "a part of what belongs together", help)
                return False
        return True

    def _spans(self, layers: list[int]) -> list[range]:
        """What layers belong to."""
        return [span for span, _ in groupby(self.span[layer] for layer in layers)]

    def _wrong(self, code: str, message: str, at: Path, label: str, help: tuple[str, ...]) -> None:
        if not self.found:  # a name that is wrong makes gaps
            self.found.append(self.draft.spec.error(code, message, *at, label=label, help=help))


def _shown(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names[:3]] + [f"{len(names) - 3} more"] * (len(names) > 3)
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def computed_again(draft: Draft) -> tuple[range, ...]:
    """The runs of layers that are computed again together, whatever the cuts; what is left open is every layer."""
    recompute = draft.spec.config.train.recompute
    if isinstance(recompute, Recompute) and recompute.layers is not None:
        return tuple(Named(draft, recompute.layers).again)
    return draft.graph.spans if recompute else ()


def misnamed(draft: Draft) -> list[Diagnostic]:
    """What is wrong with the layers that `train.recompute` names."""
    recompute = draft.spec.config.train.recompute
    return Named(draft, recompute.layers or ()).found if isinstance(recompute, Recompute) else []


def divided(draft: Draft, blocks: Iterable[Block]) -> Iterator[Diagnostic]:
    """Layers that cannot be computed again together, as a cut lies between them."""
    recompute, graph = draft.spec.config.train.recompute, draft.graph
    if not isinstance(recompute, Recompute):
        return
    cuts = {graph.index[block.layers[-1]]: block for block in blocks}
    for i, entry in enumerate(recompute.layers or ()):
        layers = [*chain.from_iterable(layers_called(graph, name) for name in entry)] if isinstance(entry, list) else []
        for layer in layers[:-1]:
            if layer in cuts:
                name = graph.layers[layer].name
                message = f"the group is divided after `{name}`, where block {cuts[layer].index} ends: each part of it "
                message += "is computed again by itself"
                yield draft.spec.note("SPC432", message, *AT, i, label="across a cut")
                break


def pieces_of(graph: BackboneGraph, again: Iterable[range], first: int, last: int) -> tuple[Piece, ...]:
    """Layers first..last in pieces: what is computed again together, and what is kept between; nothing if all is."""
    pieces: list[Piece] = []
    at = first
    for run in again:
        start, stop = max(run.start, at), min(run.stop, last + 1)
        if start < stop:
            pieces += (*_piece(graph, range(at, start), again=False), *_piece(graph, range(start, stop), again=True))
            at = stop
    return (*pieces, *_piece(graph, range(at, last + 1), again=False)) if pieces else ()


def _piece(graph: BackboneGraph, layers: range, *, again: bool) -> Iterator[Piece]:
    if nodes := sum(len(graph.layers[i].nodes) for i in layers):
        yield Piece(nodes, again)
