"""Where the tokens of a traced network stand: attention keeps them, whatever puts them elsewhere is seen to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.diagnostics import SpecError
from specc.graph.families import TorchvisionModel
from specc.graph.graph import BackboneGraph
from specc.graph.layout import Layout, Lost
from specc.memory.prediction import as_traced, first_difference
from specc.plan import Backward, Plan

from .documents import Document, spec_of

WIDTH, SIDE, CLASSES = 8, 4, 3


class Vit(nn.Module):
    """A transformer as people write it: one product for queries, keys and values, a class token, learnt places."""

    leading = 1

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, WIDTH, 2, 2), nn.LayerNorm(WIDTH)
        self.own = nn.Parameter(torch.zeros(1, self.leading, WIDTH))
        self.places = nn.Parameter(torch.zeros(1, self.leading + SIDE, WIDTH))
        self.qkv, self.out, self.fc = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.begun(self.embed(x).flatten(2).transpose(1, 2)) + self.places
        x = x + self.out(self.mixed(self.norm(x)))
        return self.fc(self.ended(x))

    def begun(self, x: Tensor) -> Tensor:
        return torch.cat([self.own.expand(len(x), -1, -1), x], 1)

    def mixed(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4).unbind()
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, WIDTH)

    def ended(self, x: Tensor) -> Tensor:
        return x[:, 0]


class Registers(Vit):
    """Three tokens before the others, put there in one go."""

    leading = 3


class Appended(Vit):
    """The class token is the last one."""

    def begun(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.own.expand(len(x), -1, -1) * 1.0], 1)


class Biased(Vit):
    """A learnt number for every pair of positions, as BEiT has it: no symmetry shows that the order is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(self.leading + SIDE, self.leading + SIDE))

    def mixed(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        return mixed.transpose(1, 2).reshape(n, t, WIDTH)


class Reversed(Vit):
    """Its attention answers in the opposite order."""

    def mixed(self, x: Tensor) -> Tensor:
        return super().mixed(x).flip(1)


class ByHand(Vit):
    """Attention as products of matrices, each of them a step by itself."""

    def mixed(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = (each.view(n, t, 2, -1).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        asked = F.hardswish(q @ k.transpose(-2, -1)).softmax(-1)
        return (v.transpose(-2, -1) @ asked.transpose(-2, -1)).permute(0, 3, 1, 2).reshape(n, t, WIDTH)


class TokensMixed(Vit):
    """A layer over the tokens, as an MLP-Mixer has it: each becomes something of all."""

    def __init__(self) -> None:
        super().__init__()
        self.over = nn.Linear(self.leading + SIDE, self.leading + SIDE)

    def mixed(self, x: Tensor) -> Tensor:
        return self.over(x.transpose(1, 2)).transpose(1, 2) * 1.0


class Gated(TokensMixed):
    """The tokens, each times something of all."""

    def mixed(self, x: Tensor) -> Tensor:
        return x * super().mixed(x)


class Pooled(nn.Module):
    """Attention with a query for every second pixel of every second row."""

    across = False

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.query = nn.Conv2d(3, WIDTH, 1), nn.Linear(WIDTH, WIDTH)
        self.out, self.fc = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        picture = x.view(len(x), SIDE, SIDE, WIDTH)[:, ::2, ::2]
        q = self.query((picture.transpose(1, 2) if self.across else picture).reshape(len(x), -1, WIDTH))
        return self.fc(self.out((q @ x.transpose(1, 2)).softmax(-1) @ x * 1.0).mean(1))


class PooledAcross(Pooled):
    """The same column by column."""

    across = True


class Written(Vit):
    """The tokens are put in their opposite order by writing into a copy of them."""

    def mixed(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :] = x.flip(1)
        return y


class Beheaded(Vit):
    """The class token is gone before the end, where what is left is averaged."""

    def ended(self, x: Tensor) -> Tensor:
        return x[:, 1:].mean(1)

    def mixed(self, x: Tensor) -> Tensor:
        return self.qkv(x)[..., :WIDTH] * 1.0


class Block(nn.Module):
    """Attention and a layer for every token, each beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, t, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4).unbind()
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.mlp(x)


class Deep(nn.Module):
    """Two such blocks in a row, as timm has them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.Conv2d(3, WIDTH, 2, 2), nn.Linear(WIDTH, CLASSES)
        self.cls, self.blocks = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Sequential(Block(), Block())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.cls.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], 1)
        return self.fc(self.blocks(x)[:, 0])


class Swin(models.SwinTransformer):
    """torchvision's own, made small: windows, some of them shifted, and patches that are merged."""

    def __init__(self) -> None:
        super().__init__([1, 1], WIDTH, [2, 2], [2, 2], [2, 2], num_classes=CLASSES)


PLACES: dict[type[nn.Module], Layout | None] = {
    Vit: Layout((2, 2), skip=1), Registers: Layout((2, 2), skip=3), Biased: Layout((2, 2), skip=1),
    ByHand: Layout((2, 2), skip=1), TokensMixed: None, Gated: Layout((2, 2), skip=1), Pooled: Layout((2, 2)),
    PooledAcross: None, Appended: None, Reversed: None, Written: None,
}  # fmt: skip
SUMS: dict[type[nn.Module], Layout | None] = {
    Vit: Layout((2, 2), skip=1), ByHand: Layout((2, 2), skip=1), TokensMixed: Layout((2, 2), skip=1),
    Appended: None, Reversed: None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The networks of this file as if they were torchvision's."""
    kinds = {kind.__name__.lower(): kind for kind in (*PLACES, Beheaded, Deep, Swin)}
    monkeypatch.setattr(models, "list_models", lambda **_: list(kinds))
    monkeypatch.setattr(models, "get_model", lambda name, **_: kinds[name]())
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))


def graph_of(kind: type[nn.Module]) -> BackboneGraph:
    return TorchvisionModel(torchvision=kind.__name__.lower()).expand((3, 4, 4), CLASSES)


@pytest.mark.parametrize(("kind", "places"), PLACES.items(), ids=[kind.__name__ for kind in PLACES])
def test_where_tokens_stand_after_attention(kind: type[nn.Module], places: Layout | None) -> None:
    found = graph_of(kind).layouts["out"]
    assert found == places if places else isinstance(found, Lost)


@pytest.mark.parametrize(("kind", "places"), SUMS.items(), ids=[kind.__name__ for kind in SUMS])
def test_tokens_stand_where_those_do_that_they_are_added_to(kind: type[nn.Module], places: Layout | None) -> None:
    """Mixing is no other order; but the sum of tokens and of others in another order has none."""
    graph = graph_of(kind)
    (added,) = (node for node in graph.nodes if "out" in node.inputs)
    found = graph.layouts[added.name]
    assert found == places if places else isinstance(found, Lost)


def test_a_class_token_that_is_cut_off_leaves_the_grid() -> None:
    graph = graph_of(Beheaded)
    (pooled,) = (node for node in graph.nodes if node.op.name == "global_avg_pool")
    assert graph.layouts[pooled.inputs[0]] == Layout((2, 2))


# ------------------------------------------------------------------------------------------ windows of a picture


def test_shifted_windows_are_undone_and_merged_patches_are_a_smaller_picture() -> None:
    """Inside of opaque parts; channels that come last are tokens."""
    graph = graph_of(Swin)
    places = {layer.name: graph.layouts[layer.nodes[-1].name] for layer in graph.layers[:-1]}
    assert places == {
        "features.0": Layout((4, 4)), "features.1.0": Layout((4, 4)), "features.1.1": Layout((4, 4)),
        "features.2": Layout((2, 2)), "features.3.0": Layout((2, 2)), "features.3.1": Layout((2, 2)),
    }  # fmt: skip
    assert [layer.shape for layer in graph.layers] == [*[(16, WIDTH)] * 3, *[(4, 2 * WIDTH)] * 3, (CLASSES,)]
    assert graph.cuts == tuple(places)
    assert sum(node.op.name == "opaque" for node in graph.nodes) == 5, "four windowed attentions and a merging"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_windows_take_what_is_traced_and_begin_as_in_torchvision(precision: str) -> None:
    data = {"dataset": "synthetic", "image_size": 4, "channels": 3, "classes": CLASSES, "samples": 8, "batch_size": 4}
    plan = specc.compile(spec_of({
        "specc": 1, "name": "windows", "data": data, "backbone": {"torchvision": "swin"}, "split": {"blocks": 3},
        "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 8}}, "levels": [{"name": "all", "window": 2}],
        "train": {"precision": precision},
    }))  # fmt: skip
    predicted, traced = as_traced(plan), trace(plan)
    assert predicted.peak_bytes == pytest.approx(traced.peak_bytes, rel=1e-3)
    assert first_difference(predicted, traced.timeline, 0.01) is None
    session, theirs = Session(plan), Swin().state_dict()
    own = {**dict(session.named_parameters()), **dict(session.named_buffers())}
    made = [key for key in theirs if key.endswith(("relative_position_index", "qkv.bias"))]
    assert len(made) == 8
    assert all(torch.equal(own[key], theirs[key]) for key in made)
    step = session.train_step(torch.rand(4, 3, 4, 4), torch.arange(4) % CLASSES)
    assert all(bool(total.isfinite()) for total in step.total.values())


# ---------------------------------------------------------------------------------------------- heads on them


def planned(kind: type[nn.Module], **auxiliary: Document) -> Plan:
    data = {"dataset": "synthetic", "image_size": 4, "channels": 3, "classes": CLASSES, "samples": 8, "batch_size": 4}
    cut = next(layer.name for layer in graph_of(kind).layers if any(node.name == "out" for node in layer.nodes))
    return specc.compile(spec_of({
        "specc": 1, "name": "tokens", "data": data, "backbone": {"torchvision": kind.__name__.lower()},
        "split": {"after": [cut]}, "auxiliary": auxiliary,
    }))  # fmt: skip


HEADS: dict[str, Document] = {
    "classifier": {"classifier": {}},
    "reconstruction": {"reconstruction": {"channels": 2}},
    "patches": {"reconstruction": {"channels": 2, "patches": {"grid": [2, 2]}}},
    "similarity": {"similarity": {}},
    "similarity of the class token": {"similarity": {"tokens": "class"}},
}


@pytest.mark.parametrize("head", HEADS)
def test_heads_on_traced_tokens_take_what_is_predicted(head: str) -> None:
    plan = planned(Vit, **HEADS[head])
    assert plan.units[0].feature == (1 + SIDE, WIDTH)
    step = Session(plan).train_step(torch.rand(4, 3, 4, 4), torch.arange(4) % CLASSES)
    assert all(bool(loss.isfinite()) for losses in step.losses.values() for loss in losses.values())
    pairs = zip(plan.instructions, as_traced(plan).timeline, trace(plan).timeline, strict=True)
    for instruction, predicted, traced in pairs:
        if not isinstance(instruction, Backward):  # through attention, a part that was measured as a whole
            assert predicted.bytes == traced, str(instruction)


def test_the_decoder_of_traced_tokens_restores_patch_by_patch() -> None:
    """What a decoder reads is the grid of patches, and neither the class token nor the registers."""
    plan = planned(Registers, reconstruction={"channels": 2})
    session = Session(plan, dtype=torch.float64)
    images = torch.rand(4, 3, 4, 4, dtype=torch.float64)
    session.executor.run(images, torch.arange(4) % CLASSES, update=False)
    tokens = session.model.blocks[0](images).detach()
    own = {n.split("decoder.")[1]: p for n, p in session.named_parameters() if "decoder" in n}
    grid = torch.stack([tokens[:, 3 + i] for i in range(4)], -1).view(4, WIDTH, 2, 2)
    x = F.interpolate(grid, (4, 4), mode="bilinear", align_corners=True)
    x = F.conv2d(x, own["conv0.weight"], own["conv0.bias"], padding=1)
    x = F.relu(F.batch_norm(x, None, None, own["bn0.weight"], own["bn0.bias"], training=True))
    x = torch.sigmoid(F.conv2d(x, own["conv1.weight"], own["conv1.bias"], padding=1))
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (plan.data.mean, plan.data.std))
    want = F.binary_cross_entropy(x, (images * std + mean).clamp(0, 1))
    found = session.executor.losses["unit0.independent"]["reconstruction"]
    assert float(found) == pytest.approx(float(want.detach()), rel=1e-12)


def test_links_copy_blocks_of_tokens_with_their_attention() -> None:
    """MAN: what heads read is the average of the next block and a trained copy, on the same grid of tokens."""
    data = {"dataset": "synthetic", "image_size": 4, "channels": 3, "classes": CLASSES, "samples": 8, "batch_size": 4}
    plan = specc.compile(spec_of({
        "specc": 1, "name": "linked", "data": data, "backbone": {"torchvision": "deep"},
        "split": {"after": ["blocks.0"]}, "auxiliary": {"reconstruction": {"channels": 2}},
        "ema_links": [{"from": "next", "bias": "branch"}],
    }))  # fmt: skip
    (link,) = plan.units[0].links
    names = {node.op.name for node in plan.networks[link.ema].graph.nodes}
    assert {"linear", "layer_norm", "opaque"} <= names
    session = Session(plan, dtype=torch.float64)
    images = torch.rand(4, 3, 4, 4, dtype=torch.float64)
    x = session.model.blocks[0](images).detach()
    y = session.model.networks[link.ema](x) + session.model.networks[link.bias](x)
    decoded = session.model.networks[plan.units[0].heads[0].networks[0]](y)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (plan.data.mean, plan.data.std))
    want = F.binary_cross_entropy(decoded, (images * std + mean).clamp(0, 1))
    session.executor.run(images, torch.arange(4) % CLASSES, update=False)  # and then the average moves on
    found = session.executor.losses["unit0.independent"]["reconstruction"]
    assert float(found) == pytest.approx(float(want.detach()), rel=1e-12)


EMBED: list[Document] = [{"name": "embed", "op": "patch_embed", "out": WIDTH, "k": 2}]
HEAD: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": CLASSES}]


def compared(tokens: str, *more: Document) -> Plan:
    """Similarity matching on tokens that a list of layers makes."""
    data = {"dataset": "synthetic", "image_size": 4, "channels": 1, "classes": CLASSES, "samples": 8, "batch_size": 4}
    return specc.compile(spec_of({
        "specc": 1, "name": "similar", "data": data, "backbone": {"layers": [*EMBED, *more, *HEAD]},
        "split": {"after": ["class" if more else "embed"]}, "auxiliary": {"similarity": {"tokens": tokens}},
    }))  # fmt: skip


@pytest.mark.parametrize("tokens", ["mean", "class", "all"])
def test_similarity_compares_what_it_says_of_tokens(tokens: str) -> None:
    plan = compared(tokens, {"name": "class", "op": "class_token"})
    session = Session(plan, dtype=torch.float64)
    images, labels = torch.rand(4, 1, 4, 4, dtype=torch.float64), torch.arange(4) % CLASSES
    session.executor.run(images, labels, update=False)
    x = session.model.blocks[0](images).detach()
    x = {"mean": x.mean(1), "class": x[:, 0], "all": x}[tokens]
    weight = dict(session.named_parameters())["unit0.independent.similarity.fc0.weight"]
    rows = F.linear(x, weight).flatten(1)

    def cosines(y: Tensor) -> Tensor:
        y = y - y.mean(1, keepdim=True)
        y = y / (1e-8 + y.norm(dim=1, keepdim=True))
        return (y @ y.T).clamp(-1, 1)

    want = (cosines(rows) - cosines(F.one_hot(labels, CLASSES).double())).square().mean()
    found = session.executor.losses["unit0.independent"]["similarity"]
    assert float(found) == pytest.approx(float(want.detach()), rel=1e-12)


def test_similarity_of_a_class_token_needs_one() -> None:
    with pytest.raises(SpecError) as caught:
        compared("class")
    (found,) = caught.value.diagnostics
    assert (found.code, found.span is not None) == ("SPC410", True)
    assert "no class token among the tokens 4×8" in found.message
    assert any("tokens: mean" in line for line in found.help)
