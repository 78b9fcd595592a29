"""Which tokens are which pixels, followed through graphs; what a decoder is given where nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.fx
from torch import Tensor, nn
from torchvision import models

import specc
from specc.diagnostics import SpecError
from specc.graph.families import TorchvisionModel
from specc.graph.layout import Layout, Lost, Places
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
    "a sum of two grids": (
        [EMBED | {"k": [3, 2]}, {**EMBED, "name": "other", "k": [2, 3], "from": "input"},
         {"name": "a", "op": "add", "from": ["embed", "other"]}],
        Lost("a.add"),
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


# ---------------------------------------------------------------------------------------------- traced models


class Lasting(nn.Module):
    """A convolution, then its features as (H, W, C) in some order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.LayerNorm(self.width)
        self.mix, self.fc = nn.Linear(self.width, self.width), nn.Linear(self.width, 7)

    width = 4

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mix(self.norm(self.arranged(self.conv(x)))).mean((1, 2)))

    def arranged(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Windows(Lasting):
    """As many windows as rows, with as many pixels each as columns: the shape tells nothing."""

    def arranged(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        return x.reshape(n, c, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(n, 4, 4, c)


class Flipped(Lasting):
    def arranged(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flip(1)


class ColumnsFirst(Lasting):
    def arranged(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1)


def merge(x: Tensor) -> Tensor:
    """Swin's merging: 2×2 pixels side by side in the channels, the last ones of an odd side with zeros."""
    x = nn.functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    return torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)


torch.fx.wrap("merge")


class Merged(Lasting):
    width = 16

    def arranged(self, x: Tensor) -> Tensor:
        return merge(x.permute(0, 2, 3, 1))


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The models of this file as if they were torchvision's."""
    kinds = {kind.__name__.lower(): kind for kind in (Lasting, Windows, Flipped, ColumnsFirst, Merged)}
    monkeypatch.setattr(models, "list_models", lambda **_: list(kinds))
    monkeypatch.setattr(models, "get_model", lambda name, **_: kinds[name]())
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("name", "side", "size"),
    [
        ("lasting", 4, (4, 4)),
        ("merged", 4, (2, 2)),
        ("merged", 5, (3, 3)),
        ("windows", 4, None),
        ("flipped", 4, None),
        ("columnsfirst", 4, None),
    ],
)
def test_what_moves_pixels_is_seen_to_keep_their_order_or_not(
    name: str, side: int, size: tuple[int, int] | None
) -> None:
    graph = TorchvisionModel(torchvision=name).expand((3, side, side), 7)
    places = graph.layouts["norm"]
    assert places == Layout(size) if size else isinstance(places, Lost)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("head", [{}, {"patches": {"grid": [2, 2]}}], ids=["whole", "patched"])
def test_a_decoder_of_traced_windows_is_refused_at_its_place(head: Document) -> None:
    """MaxViT's features between its two attentions: a decoder would restore a scrambled image."""

    def spec(model: str) -> Document:
        data = {"dataset": "synthetic", "image_size": 4, "channels": 3, "classes": 7, "samples": 4, "batch_size": 2}
        document: Document = {"specc": 1, "name": "order", "data": data, "backbone": {"torchvision": model}}
        return document | {"split": {"blocks": 2}, "auxiliary": {"reconstruction": head}}

    graph = TorchvisionModel(torchvision="windows").expand((3, 4, 4), 7)
    cuts = {"split": {"after": [next(layer.name for layer in graph.layers if len(layer.shape) == 2)]}}
    assert specc.compile(spec_of(spec("lasting") | cuts)).units[0].heads
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of(spec("windows") | cuts))
    (found,) = caught.value.diagnostics
    assert (found.code, found.span is not None) == ("SPC417" if head else "SPC410", True)
    assert "put them in another order" in found.message
    assert found.secondary, "the cut that gives these features"
