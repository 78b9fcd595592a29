"""Random valid specs as plain documents, for hypothesis.

    from hypothesis import given
    from specc.testing.strategies import specs

    @given(specs())
    def test_my_op(document):
        plan = specc.compile(loads(json.dumps(document)))   # JSON is YAML

A spec is valid by construction: every choice is among what the ops, heads and cuts say applies, so nothing is drawn and
thrown away, and failures shrink to the smallest spec that still fails. Ops, heads, families and optimizers of installed
packages take part by themselves if they need no arguments. Nothing random (dropout) is drawn, so that two runs can be
compared.

Needs hypothesis, which is no dependency of specc: `pip install hypothesis` (it is in the `dev` group).
"""

from __future__ import annotations

from math import gcd

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover
    raise ImportError("specc.testing.strategies needs hypothesis: pip install hypothesis") from error

from pydantic import TypeAdapter

from ..compiler.cuts import Measure, place_cuts
from ..graph.families import FAMILIES, Backbone
from ..graph.frozen import frozen
from ..graph.graph import BackboneGraph
from ..graph.ops import Shape
from ..language.plugged import without_arguments
from ..spec.sections.optimizers import OPTIMIZERS as ADDED
from .auxiliaries import CutBackbone, auxiliary, contexts, levels, links
from .backbones import layers
from .layer_lists import REALISTIC, TINY, Document, Size

__all__ = ["REALISTIC", "TINY", "Document", "Size", "backbones", "graph_of", "shapes", "specs"]

_BACKBONE: TypeAdapter[Backbone] = TypeAdapter(Backbone)


def shapes(size: Size = TINY) -> st.SearchStrategy[Shape]:
    """Images (C, H, W), some of them wider or higher."""
    side = st.integers(*size.sides)
    square = st.builds(lambda channels, side: (channels, side, side), st.integers(1, 3), side)
    return st.one_of(square, st.tuples(st.integers(1, 3), side, side))


def backbones(image: Shape = (1, 8, 8), classes: int = 2, size: Size = TINY) -> st.SearchStrategy[Document]:
    """`backbone:` documents for such images: graphs of the user's own, sometimes a family."""
    own, families = layers(image, classes, size), st.sampled_from(_families(image, size.factor))
    return st.integers(0, 5).flatmap(lambda kind: families if kind == 5 else own)


def _families(image: Shape, factor: int) -> list[Document]:
    """Families with a few channels that fit the image."""
    vit = {"family": "vit", "width": 4 * factor, "heads": 2, "depth": 2, "mlp": 4 * factor}
    return [
        {"family": "resnet_cifar", "depth": 8, "widths": [2 * factor, 2 * factor, 3 * factor, 4 * factor]},
        {"family": "resnet_cifar", "depth": 14, "widths": [4 * factor] * 4},
        *({**vit, "patch": patch} for patch in (4, 3, 2) if gcd(*image[1:]) % patch == 0),
        *({"family": name} for name in without_arguments(FAMILIES)),
    ]


def graph_of(backbone: Document, image: Shape, classes: int) -> BackboneGraph:
    """The graph of a `backbone:` document."""
    return _BACKBONE.validate_python(backbone).expand(image, classes)


@st.composite
def specs(draw: st.DrawFn, zero_weights: bool = True, size: Size = TINY) -> Document:
    """Documents of valid specs; without `zero_weights` they compile without a single warning."""
    image, classes = draw(shapes(size)), draw(st.integers(2, 5))
    backbone = draw(backbones(image, classes, size))
    graph = graph_of(backbone, image, classes)
    names = draw(st.just([]) | st.just([]) | _frozen(graph))
    graph = frozen(graph, names)
    split, cuts = draw(_splits(graph, graph.safe_cuts if zero_weights else graph.cut_choices))
    cut = CutBackbone(graph, cuts, classes)
    document: Document = {
        "specc": 1,
        "name": "generated",
        "data": _data(image, classes, draw(st.sampled_from(size.batches))),
        "backbone": backbone,
        "split": split,
    }
    drawn = draw(levels(cut.blocks, zero_weights))
    linked = draw(links(cut, drawn))
    document |= {"levels": drawn} | ({"ema_links": linked} if linked else {})
    if where := contexts(cut, drawn, linked):
        document["auxiliary"] = draw(auxiliary(where, zero_weights))
    document["train"] = draw(_training(cut)) | ({"freeze": names} if names else {})
    return document | draw(st.sampled_from(({}, {"budget": {"memory": "8 TiB"}})))


def _frozen(graph: BackboneGraph) -> st.SearchStrategy[list[str]]:
    """Some of the layers with parameters, never all of them."""
    names = [layer.name for layer in graph.layers if layer.weighted]
    some = st.lists(st.sampled_from(names), max_size=len(names) - 1, unique=True)
    first = st.integers(0, len(names) - 1).map(lambda count: names[:count])  # as people do
    return first | some


def _data(image: Shape, classes: int, batch: int) -> Document:
    side = image[1] if image[1] == image[2] else list(image[1:])
    size = {"image_size": side, "channels": image[0], "classes": classes}
    return {"dataset": "synthetic", "samples": 4 * batch, "batch_size": batch, **size}


@st.composite
def _splits(draw: st.DrawFn, graph: BackboneGraph, legal: tuple[str, ...]) -> tuple[Document, tuple[int, ...]]:
    """A `split:` and the positions where it cuts, by name after some of the `legal` layers."""
    most = min(len(legal), 3)
    wanted = draw(st.integers(0, most))
    if wanted and (wanted > len(graph.cut_choices) or draw(st.booleans())):
        names = draw(st.lists(st.sampled_from(legal), min_size=wanted, max_size=wanted, unique=True))
        cuts = tuple(sorted(graph.index[name] for name in names))
        return {"after": [graph.layers[cut].name for cut in cuts]}, cuts
    measures: tuple[Measure, ...] = ("layers", "flops", "parameters", "memory")
    by = draw(st.sampled_from(measures))
    return {"blocks": wanted + 1, "by": by}, tuple(place_cuts(graph, wanted + 1, by))


OPTIMIZERS: tuple[Document, ...] = (  # whose second step takes what later ones do
    {"name": "sgd"},
    {"name": "sgd", "lr": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
    {"name": "sgd", "lr": 0.01, "momentum": 0.5, "nesterov": False},
    {"name": "adamw"},
    {"name": "adamw", "lr": 0.01, "betas": [0.8, 0.9], "weight_decay": 0.0},
    {"name": "adamw", "weight_decay_exclude": ["norms", "biases"]},
    {"name": "nadam", "weight_decay": 0.01, "weight_decay_exclude": ["biases", "embeddings"]},
    {"name": "adafactor", "weight_decay": 0.01},
)
SCHEDULES: tuple[Document, ...] = (
    {"name": "constant"},
    {"name": "cosine", "warmup_epochs": 1},
    {"name": "step", "milestones": [1, 2], "gamma": 0.5},
    {"name": "poly", "min_lr": 1e-4},
    {"name": "cosine", "by": "steps", "warmup_steps": 2},
    {"name": "one_cycle", "by": "steps", "pct_start": 0.4, "cycle_momentum": False},
)


@st.composite
def _recomputations(draw: st.DrawFn, cut: CutBackbone) -> Document:
    """Some layers to be computed again; several of one block together, and what no joint divides anyway."""
    entries: list[str | list[str]] = []
    joined = False  # what is next to the one before, in its block and computed again
    for span in cut.graph.spans:
        names = [cut.graph.layers[layer].name for layer in span]
        kind = draw(st.sampled_from(("kept", "again", "together") if joined else ("kept", "again")))
        if kind == "together":
            last = entries.pop()
            names = [*(last if isinstance(last, list) else [last]), *names]
        if kind != "kept":
            entries.append(names[0] if len(names) == 1 else names)
        joined = kind != "kept" and span[-1] not in cut.cuts
    return {"layers": entries} if entries else {"layers": [cut.graph.layers[layer].name for layer in span]}


def _training(cut: CutBackbone) -> st.SearchStrategy[Document]:
    """`train:` sections of three epochs."""
    return st.fixed_dictionaries(
        {
            "epochs": st.just(3),
            "optimizer": st.sampled_from([*OPTIMIZERS, *({"name": name} for name in without_arguments(ADDED))]),
        },
        optional={
            "schedule": st.sampled_from(SCHEDULES),
            "recompute": st.booleans() | _recomputations(cut),
            "seed": st.integers(0, 3),
            "zero_weight_heads": st.sampled_from(("remove", "keep")),
            "clip": st.sampled_from(({"norm": 0.5}, {"value": 0.1})),
            "label_smoothing": st.just(0.1),
            "weight_average": st.just({"decay": 0.9}),
            "batch_norm_updates": st.sampled_from(({}, {"default": 2}, {"default": "per_unit"})),
        },
    )
