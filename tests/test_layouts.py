"""Which tokens are which pixels, followed through graphs; what a decoder is given where nobody knows."""

from __future__ import annotations

import pytest

import specc
from specc.backbone.families import TorchvisionModel
from specc.backbone.layout import Layout, Lost, Places
from specc.diagnostics import SpecError
from specc.testing.strategies import graph_of

from .documents import Document, spec_of

EMBED: Document = {"name": "embed", "op": "patch_embed", "out": 4, "k": 2}  # 3×3 tokens of 6×6 pixels
FC: Document = {"name": "fc", "op": "linear", "out": 2}
CASES: dict[str, tuple[list[Document], Places]] = {
    "patches": ([EMBED], Layout((3, 3))),
    "pixels": ([{"name": "t", "op": "to_tokens"}], Layout((6, 6))),
    "wide patches": ([EMBED | {"k": [3, 2]}], Layout((2, 3))),
    "one class token": ([EMBED, {"name": "c", "op": "class_token"}], Layout((3, 3), skip=1)),
    "a transformer": (
        [EMBED, {"name": "c", "op": "class_token"}, {"name": "p", "op": "position_embedding"},
         {"name": "b", "op": "transformer_block", "heads": 2, "mlp": 8}],
        Layout((3, 3), skip=1),
    ),
    "the class token cut off": (
        [EMBED, {"name": "c", "op": "class_token"}, {"name": "s", "op": "slice", "start": 1, "stop": 10}],
        Layout((3, 3)),
    ),
    "a position cut off": ([EMBED, {"name": "s", "op": "slice", "start": 1, "stop": 9}], Lost("s.slice")),
    "channels side by side": (
        [EMBED, {"name": "n", "op": "rms_norm"}, {"name": "c", "op": "concat", "axis": 1, "from": ["embed", "n"]}],
        Layout((3, 3)),
    ),
    "tokens one after the other": (
        [EMBED, {"name": "n", "op": "layer_norm"}, {"name": "c", "op": "concat", "axis": 0, "from": ["embed", "n"]}],
        Lost("c.concat"),
    ),
    "windows": (
        [{"name": "w", "op": "window_partition", "size": 3}, {"name": "n", "op": "layer_norm"}], Lost("w.windows")
    ),
    "windows and back": (
        [{"name": "w", "op": "window_partition", "size": 3}, {"name": "r", "op": "window_reverse", "size": 3, "to": 6},
         {"name": "t", "op": "to_tokens"}],
        Layout((6, 6)),
    ),
    "a sum with windows": (
        [{"name": "w", "op": "window_partition", "size": 3}, {"name": "t", "op": "to_tokens", "from": "input"},
         {"name": "a", "op": "add", "from": ["t", "w"]}],
        Lost("w.windows"),
    ),
    "mixed positions": (
        [EMBED, {"name": "t", "op": "transpose"}, {"name": "up", "op": "linear", "out": 5},
         {"name": "down", "op": "linear", "out": 9}, {"name": "back", "op": "transpose"},
         {"name": "a", "op": "add", "from": ["embed", "back"]}],
        Layout((3, 3)),
    ),
    "more positions than before": (
        [EMBED, {"name": "t", "op": "transpose"}, {"name": "up", "op": "linear", "out": 16},
         {"name": "back", "op": "transpose"}],
        Lost("back.transpose"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "places"), CASES.values(), ids=CASES)
def test_where_tokens_stand(layers: list[Document], places: Places) -> None:
    graph = graph_of({"layers": [*layers, {"name": "pool", "op": "global_avg_pool"}, FC]}, (1, 6, 6), 2)
    assert graph.layouts[graph.layers[-3].nodes[-1].name] == places


TRACED: dict[str, tuple[int, dict[str, Places]]] = {
    "vit_b_32": (64, {"encoder.layers.encoder_layer_3": Layout((2, 2), skip=1)}),
    "swin_t": (64, {"features.1.0": Layout((16, 16)), "features.2": Layout((8, 8)), "features.7.1": Layout((2, 2))}),
    "swin_v2_t": (96, {"features.4": Layout((6, 6)), "features.6": Layout((3, 3))}),
}


@pytest.mark.parametrize(("image", "wanted"), TRACED.values(), ids=TRACED)
def test_where_tokens_of_traced_models_stand(
    image: int, wanted: dict[str, Places], request: pytest.FixtureRequest
) -> None:
    """Shifted windows and merged patches are undone inside of an opaque part, and seen to be."""
    graph = TorchvisionModel(torchvision=request.node.callspec.id).expand((3, image, image), 7)
    assert {name: graph.layouts[graph.layers[graph.index[name]].nodes[-1].name] for name in wanted} == wanted


MAXVIT: Document = {
    "specc": 1,
    "name": "windows",
    "data": {
        "dataset": "synthetic", "image_size": 224, "channels": 3, "classes": 7, "samples": 4, "batch_size": 2,
    },
    "backbone": {"torchvision": "maxvit_t"},
    "split": {"after": ["blocks.0.layers.0.layers.window_attention"]},
}  # fmt: skip


@pytest.mark.slow
def test_a_decoder_of_tokens_in_windows_is_refused_and_the_place_is_named() -> None:
    """MaxViT's features between its two attentions: a decoder would restore a scrambled image."""
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of(MAXVIT | {"auxiliary": {"reconstruction": {}}}))
    (found,) = caught.value.diagnostics
    assert (found.code, found.span is not None) == ("SPC410", True)
    assert "`blocks.0.layers.0.layers.window_attention.partition_op.reshape` put them in another order" in found.message
    assert specc.compile(spec_of(MAXVIT | {"auxiliary": {"classifier": {}}})).units
    after = {"split": {"after": ["blocks.0.layers.0.layers.grid_attention"]}}
    assert specc.compile(spec_of(MAXVIT | after | {"auxiliary": {"reconstruction": {}}})).units
