"""Patches of maps that the grid does not divide, of tokens, and what happens where there can be none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.compiler.verify import verify
from specc.diagnostics import Severity, SpecError
from specc.learning.heads.patches import cells
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.plan.flops import step_flops

from .documents import Document, spec_of
from .parts import partly

WAYS = list(itertools.product(["shared", "separate"], ["losses", "outputs"], ["joint", "sequential"]))
SIDE, BATCH, CLASSES = 14, 4, 3

CONVOLUTIONS: list[Document] = [
    {"name": "stem", "op": "conv", "out": 5, "stride": 2},  # 7×7
    {"name": "half", "op": "conv", "out": 6, "stride": 2},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": CLASSES},
]
TOKENS: list[Document] = [
    {"name": "stem", "op": "patch_embed", "out": 8, "k": 2},  # 7×7 tokens
    {"name": "class", "op": "class_token"},
    {"name": "norm", "op": "layer_norm"},
    {"name": "pick", "op": "select_token"},
    {"name": "fc", "op": "linear", "out": CLASSES},
]


def document(layers: list[Document], after: str, auxiliary: Document, **parts: Any) -> Document:
    data = {"dataset": "synthetic", "image_size": SIDE, "channels": 1, "classes": CLASSES, "samples": 8}
    return {
        "specc": 1,
        "name": "uneven",
        "data": data | {"batch_size": BATCH},
        "backbone": {"layers": layers},
        "split": {"after": [after]},
        "auxiliary": auxiliary,
    } | parts


def patched(weights: str = "separate", fuse: str = "losses", execution: str = "joint", **more: Any) -> Document:
    return {"patches": {"grid": [2, 2], "weights": weights, "fuse": fuse, "execution": execution, **more}}


def planned(layers: list[Document], after: str, auxiliary: Document, **parts: Any) -> Plan:
    return specc.compile(spec_of(document(layers, after, auxiliary, **parts)))


def batch(plan: Plan) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 1, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return images, torch.arange(BATCH) % CLASSES


def gradients(plan: Plan) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The first unit's losses and all gradients of one step without the optimizer."""
    session = Session(plan, "cpu", dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for _, parameter in session.named_parameters():  # as they come, whatever they are called
        parameter.detach().normal_(generator=generator)
    session.executor.run(*batch(plan), update=False)
    found = {name: p.grad for name, p in session.named_parameters() if p.grad is not None}
    return {term: float(loss) for term, loss in session.executor.losses[plan.units[0].name].items()}, found


# ---------------------------------------------------------------------------------------------- where they are cut


def test_an_odd_side_is_cut_at_its_half_rounded_down() -> None:
    """As HPFF's released code does, `x[:, :, : h // 2]` and `x[:, :, h // 2 :]`."""
    assert cells((7, 5), (2, 2)) == ((0, 3, 0, 2), (0, 3, 2, 5), (3, 7, 0, 2), (3, 7, 2, 5))
    assert cells((8, 8), (3, 1)) == ((0, 2, 0, 8), (2, 5, 0, 8), (5, 8, 0, 8))


def released(session: Session, features: Tensor, images: Tensor) -> Tensor:
    """The patch decoders of HPFF's released code, written out: half by half, each with its part of the image."""
    h, w = features.shape[2] // 2, features.shape[3] // 2
    rows, columns = (slice(None, h), slice(h, None)), (slice(None, w), slice(w, None))
    side = SIDE // 2
    quarters = (slice(None, side), slice(side, None))
    total = torch.zeros((), dtype=images.dtype)
    for number, (i, j) in enumerate(itertools.product((0, 1), repeat=2)):
        own = {n.split(f"patch{number}.")[1]: p for n, p in session.named_parameters() if f"patch{number}." in n}
        x = F.interpolate(features[:, :, rows[i], columns[j]], (side, side), mode="bilinear", align_corners=True)
        x = F.conv2d(x, own["conv0.weight"], own["conv0.bias"], padding=1)
        x = F.relu(F.batch_norm(x, None, None, own["bn0.weight"], own["bn0.bias"], training=True))
        x = torch.sigmoid(F.conv2d(x, own["conv1.weight"], own["conv1.bias"], padding=1))
        total = total + F.binary_cross_entropy(x, images[:, :, quarters[i], quarters[j]])
    return total


@pytest.mark.parametrize("execution", ["joint", "sequential"])
def test_uneven_patch_decoders_are_those_of_the_released_code(execution: str) -> None:
    plan = planned(CONVOLUTIONS, "stem", {"reconstruction": patched(execution=execution) | {"channels": 2}})
    session = Session(plan, "cpu", dtype=torch.float64)
    images, labels = batch(plan)
    session.executor.run(images, labels, update=False)
    losses = session.executor.losses["unit0.independent"]
    features = session.model.blocks[0](images)
    mean, std = (torch.tensor(v, dtype=images.dtype).view(1, -1, 1, 1) for v in (plan.data.mean, plan.data.std))
    loss = released(session, features, images * std + mean)
    assert float(losses["reconstruction"]) == pytest.approx(float(loss.detach()), rel=1e-12)
    stem = dict(session.named_parameters())["stem.conv.weight"]
    assert stem.grad is not None
    (expected,) = torch.autograd.grad(loss, [stem])
    torch.testing.assert_close(stem.grad, expected, rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------- in every way

HEADS: dict[str, Document] = {
    "classifier": {"layers": "1c1f"},
    "reconstruction": {"channels": 2},
    "pointwise": {"convolutions": 1, "linears": 1},
    "periodic": {"pool": 1},
}


# Of two choices in three matters each pair occurs in four of the eight ways; of tokens a way and its opposite do.
FEW = {
    *(("map", *WAYS[i]) for i in (0, 3, 5, 6)),
    *(("tokens", *WAYS[i]) for i in (1, 6)),
}
CASES = [(what, *way) for what in ("map", "tokens") for way in WAYS]


@pytest.mark.parametrize("case", partly(CASES, set(CASES) - FEW))
def test_uneven_patches_take_what_is_predicted(case: tuple[str, str, str, str]) -> None:
    what, *way = case
    layers, after = (CONVOLUTIONS, "stem") if what == "map" else (TOKENS, "class")
    plan = planned(layers, after, {key: head | patched(*way) for key, head in HEADS.items()})
    assert verify(plan) == []
    assert specc.Plan.from_json(plan.to_json()).fingerprint == plan.fingerprint
    traced = trace(plan)
    for moment, found in zip(as_traced(plan).timeline, traced.timeline, strict=True):
        assert moment.bytes == pytest.approx(found, abs=64), plan.instructions[moment.instruction]


@pytest.mark.parametrize(("weights", "fuse"), itertools.product(["shared", "separate"], ["losses", "outputs"]))
@pytest.mark.parametrize(("layers", "after"), [(CONVOLUTIONS, "stem"), (TOKENS, "class")], ids=["map", "tokens"])
def test_uneven_patches_one_after_the_other_are_those_together(
    layers: list[Document], after: str, weights: str, fuse: str
) -> None:
    joint, sequential = (
        gradients(planned(layers, after, {key: head | patched(weights, fuse, way) for key, head in HEADS.items()}))
        for way in ("joint", "sequential")
    )
    assert sequential[0] == pytest.approx(joint[0], rel=1e-10)
    assert joint[1].keys() == sequential[1].keys()
    for name, gradient in joint[1].items():
        torch.testing.assert_close(sequential[1][name], gradient, rtol=1e-8, atol=1e-10)


def test_patches_of_two_sizes_share_one_set_of_tensors() -> None:
    plan = planned(CONVOLUTIONS, "stem", {"reconstruction": patched("shared") | {"channels": 2}})
    (head,) = plan.units[0].heads
    assert set(head.networks) == {"unit0.independent.decoder"}
    assert [graph.input for graph in head.graphs(plan.networks)] == [(5, 3, 3), (5, 3, 4), (5, 4, 3), (5, 4, 4)]
    session = Session(plan, "cpu", dtype=torch.float64)
    before = {name: p.detach().clone() for name, p in session.named_parameters()}
    session.train_step(*batch(plan))
    own = [name for name in before if "decoder" in name]
    assert own == [name for name in plan.networks["unit0.independent.decoder"].parameters if name in before]
    count = dict(session.named_buffers())["unit0.independent.decoder.bn0.num_batches_tracked"]
    assert int(count) == 4, "one batch norm sees every patch"


def test_the_flops_are_those_of_every_patch_in_its_own_size() -> None:
    shared, separate = (
        planned(CONVOLUTIONS, "stem", {"reconstruction": patched(weights)}) for weights in ("shared", "separate")
    )
    assert step_flops(shared) == step_flops(separate)


# ---------------------------------------------------------------------------------------------- tokens


def test_a_class_token_is_left_out_of_the_map_and_gets_no_gradient() -> None:
    plan = planned(TOKENS, "class", {"reconstruction": patched() | {"channels": 2}})
    (head,) = plan.units[0].heads
    assert head.patches is not None
    assert head.patches.tokens is not None
    assert (head.patches.tokens.size, head.patches.tokens.skip) == ((7, 7), 1)
    _, found = gradients(plan)
    assert float(found["class.class_token.weight"].abs().max()) == 0.0
    assert float(found["stem.patch_embed.weight"].abs().max()) > 0.0


def test_a_patched_decoder_of_tokens_is_that_of_their_map() -> None:
    """The same numbers as channels of a map: a convolution of 2×2 patches is what `patch_embed` is."""
    heads: Document = {"reconstruction": patched() | {"channels": 2}}
    embedded = planned(
        [{**TOKENS[0], "bias": False}, {"name": "pool", "op": "global_avg_pool"}, TOKENS[-1]], "stem", heads
    )
    convolved = {"name": "stem", "op": "conv", "out": 8, "k": 2, "stride": 2, "pad": 0}
    mapped = planned([convolved, {"name": "pool", "op": "global_avg_pool"}, TOKENS[-1]], "stem", heads)
    one, other = gradients(embedded), gradients(mapped)
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    stems = (next(iter(found.values())) for _, found in (one, other))
    torch.testing.assert_close(*stems, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("head", [{}, patched()], ids=["whole", "patched"])
def test_tokens_of_an_oblong_map_are_laid_out_as_it(head: Document) -> None:
    layers = [{**TOKENS[0], "k": [7, 2]}, {"name": "pool", "op": "global_avg_pool"}, TOKENS[-1]]
    plan = planned(layers, "stem", {"reconstruction": head | {"channels": 2}})
    shapes = [graph.nodes[0].shape for graph in plan.units[0].heads[0].graphs(plan.networks)]
    assert shapes == ([(8, 7, 7)] * 4 if head else [(8, 2, 7)])
    assert all(bool(gradient.isfinite().all()) for gradient in gradients(plan)[1].values())


# ---------------------------------------------------------------------------------------------- where there are none

VECTOR: list[Document] = [
    {"name": "stem", "op": "conv", "out": 4, "stride": 2},
    {"name": "flat", "op": "global_avg_pool"},
    {"name": "hidden", "op": "linear", "out": 6},
    {"name": "fc", "op": "linear", "out": CLASSES},
]
TURNED: list[Document] = [
    {"name": "stem", "op": "patch_embed", "out": 8, "k": 2},
    {"name": "other", "op": "linear", "out": 8, "from": "stem"},
    {"name": "both", "op": "concat", "axis": 0, "from": ["stem", "other"]},
    {"name": "mix", "op": "linear", "out": 8},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": CLASSES},
]


WRONG: dict[str, tuple[list[Document], str, Document, tuple[str, str]]] = {
    "a vector": (VECTOR, "flat", {"reconstruction": patched()}, ("SPC417", "not the vector 4")),
    "more cells than positions": (
        CONVOLUTIONS, "stem", {"classifier": patched(grid=[8, 1])}, ("SPC417", "8×1 patch grid has more cells"),
    ),
    "tokens in another order": (
        TURNED, "mix", {"classifier": patched()}, ("SPC417", "since `both.concat` put them in another order"),
    ),
    "a decoder of tokens in another order": (
        TURNED, "mix", {"reconstruction": {}}, ("SPC410", "since `both.concat` put them in another order"),
    ),
    "tensors of two sizes": (
        CONVOLUTIONS, "stem", {"pooled_linear": {"features": 512} | patched("shared")},
        ("SPC417", "cannot share `fc0`"),
    ),
    "outputs of two sizes": (CONVOLUTIONS, "stem", {"goodness": patched(fuse="outputs")}, ("SPC417", "have no mean")),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "after", "auxiliary", "finding"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_cut_says_why(
    layers: list[Document], after: str, auxiliary: Document, finding: tuple[str, str]
) -> None:
    with pytest.raises(SpecError) as caught:
        planned(layers, after, auxiliary)
    (found,) = caught.value.diagnostics
    assert (found.code, finding[1] in found.message) == (finding[0], True), found.message
    assert found.span is not None
    assert any("otherwise: whole" in line for line in found.help) == (found.code == "SPC417")


@pytest.mark.parametrize("case", ["a vector", "more cells than positions", "tensors of two sizes"])
def test_otherwise_whole_runs_the_head_whole_and_says_so(case: str) -> None:
    layers, after, auxiliary, _ = WRONG[case]
    (key, head), *_ = auxiliary.items()
    allowed = {key: head | {"patches": head["patches"] | {"otherwise": "whole"}}}
    whole = {key: {k: v for k, v in head.items() if k != "patches"}}
    plan, diagnostics = specc.pipeline.compile_spec(spec_of(document(layers, after, allowed)))
    (note,) = diagnostics
    assert (note.code, note.severity, note.span is not None) == ("SPC418", Severity.NOTE, True)
    assert "unit0.independent" in note.message
    plain = planned(layers, after, whole)
    assert plan.units == plain.units
    assert plan.networks == plain.networks


def test_otherwise_whole_changes_nothing_where_patches_work() -> None:
    for heads in ({"reconstruction": patched(otherwise="whole")}, {"reconstruction": patched()}):
        plan, diagnostics = specc.pipeline.compile_spec(spec_of(document(CONVOLUTIONS, "stem", heads)))
        assert diagnostics == ()
        assert plan.units[0].heads[0].patches is not None


def test_where_the_whole_head_is_impossible_too_that_is_the_error() -> None:
    with pytest.raises(SpecError) as caught:
        planned(TURNED, "mix", {"reconstruction": patched(otherwise="whole")})
    assert [d.code for d in caught.value.diagnostics] == ["SPC410"]
