"""Every head on features of every shape: it runs a step that takes what is predicted, or says at its place why not.

The table in docs/methods.md is this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.diagnostics import SpecError
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .documents import Document, spec_of

DOCS = Path(__file__).parent.parent / "docs"
BATCH, CLASSES = 4, 3
SQUARE, ODD, SIGNAL, VOLUME = [8, 8], [7, 9], [24], [4, 6, 6]
END: list[Document] = [{"name": "pool", "op": "global_avg_pool"}, {"name": "fc", "op": "linear", "out": CLASSES}]
TOKENS: list[Document] = [{"name": "embed", "op": "patch_embed", "out": 4, "k": 2}]


def conv(out: int = 4, **args: Any) -> Document:
    return {"name": "body", "op": "conv", "out": out, **args}


# shape of the features -> (sizes of a sample, layers, where they are cut, what comes out)
SHAPES: dict[str, tuple[list[int], list[Document], str, tuple[int, ...]]] = {
    "map": (SQUARE, [conv()], "body", (4, 8, 8)),
    "odd map": (ODD, [conv(stride=2)], "body", (4, 4, 5)),
    "tokens": (SQUARE, TOKENS, "embed", (16, 4)),
    "class token": (SQUARE, [*TOKENS, {"name": "class", "op": "class_token"}], "class", (17, 4)),
    "vector": (SQUARE, [conv(), {"name": "flat", "op": "global_avg_pool"}, {"name": "up", "op": "linear", "out": 6}],
               "up", (6,)),
    "signal": (SIGNAL, [{"name": "row", "op": "reshape", "shape": [2, 1, 24]}, conv(k=[1, 3], stride=[1, 2])], "body",
               (4, 1, 12)),
    "volume": (VOLUME, [conv(stride=[1, 2, 2])], "body", (4, 4, 3, 3)),
}  # fmt: skip

PATCHES: Document = {"grid": [1, 2], "weights": "separate"}
HEADS: dict[str, Document] = {
    "classifier": {"classifier": {"layers": "1c2f", "hidden": 4}},
    "pointwise": {"pointwise": {"convolutions": 1, "linears": 1}},
    "pooled_linear": {"pooled_linear": {"features": 8}},
    "augmented": {"augmented": {"depth": 1}},
    "periodic": {"periodic": {"pool": 2}},
    "goodness": {"goodness": {}},
    "goodness of images": {"goodness": {"negatives": "images"}},
    "similarity": {"similarity": {}},
    "similarity of the class token": {"similarity": {"tokens": "class"}},
    "reconstruction": {"reconstruction": {"channels": 2}},
    "patches": {"classifier": {"layers": "0c1f", "patches": PATCHES}},
    "patched reconstruction": {"reconstruction": {"channels": 2, "patches": PATCHES}},
}
MAPS = {"map", "odd map", "signal", "volume"}
REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    **{("pointwise", shape): ("SPC410", "reads a feature map") for shape in SHAPES.keys() - MAPS},
    **{(head, "vector"): ("SPC417", "patches need positions") for head in HEADS if "patche" in head},
    **{(head, "volume"): ("SPC417", "is a volume") for head in HEADS if "patche" in head},
    ("similarity of the class token", "tokens"): ("SPC410", "no class token among the tokens 16×4"),
}


def document(shape: str, auxiliary: Document, **parts: Any) -> Document:
    sizes, layers, after, _ = SHAPES[shape]
    data = {"dataset": "synthetic", "image_size": sizes, "channels": 2, "classes": CLASSES, "samples": 8}
    return {
        "specc": 1, "name": "shapes", "data": data | {"batch_size": BATCH},
        "backbone": {"layers": [*layers, *(END[shape == "vector" :])]},
        "split": {"after": [after]}, "auxiliary": auxiliary,
    } | parts  # fmt: skip


def planned(shape: str, auxiliary: Document, **parts: Any) -> Plan:
    plan = specc.compile(spec_of(document(shape, auxiliary, **parts)))
    assert plan.blocks[0].output == SHAPES[shape][3]
    return plan


def batch(plan: Plan, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(BATCH, *plan.data.shape, generator=generator, dtype=dtype), torch.arange(BATCH) % CLASSES


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", HEADS)
def test_a_head_runs_as_predicted_or_says_why_not(head: str, shape: str) -> None:
    if (head, shape) in REFUSED:
        code, reason = REFUSED[head, shape]
        with pytest.raises(SpecError) as caught:
            planned(shape, HEADS[head])
        (found,) = caught.value.diagnostics
        assert (found.code, found.span is not None) == (code, True)
        assert reason in found.message
        return
    plan = planned(shape, HEADS[head])
    step = Session(plan).train_step(*batch(plan))
    assert all(bool(loss.isfinite()) for losses in step.losses.values() for loss in losses.values())
    # of labels in images the trace counts the means and deviations of both channels, which are looked at there
    own = 16 if head == "goodness of images" and shape != "signal" else 0
    assert [moment.bytes + own for moment in as_traced(plan).timeline] == list(trace(plan).timeline)


def table() -> str:
    """What the documentation says of it."""
    rows = [("head", *SHAPES), ("---", *("---" for _ in SHAPES))]
    rows += [(head, *(REFUSED.get((head, shape), ("yes",))[0] for shape in SHAPES)) for head in HEADS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def test_the_documentation_has_this_table() -> None:
    assert table() in (DOCS / "methods.md").read_text(encoding="utf-8"), table()


@pytest.mark.parametrize("shape", ["odd map", "signal", "volume", "class token"])
def test_links_between_features_of_every_shape(shape: str) -> None:
    """MAN on two blocks of a kind, the averaged copy of the second one's layer in the first one's auxiliary network."""
    _, layers, after, _ = SHAPES[shape]
    tokens = shape == "class token"
    args = {"k": [1, 3]} if shape == "signal" else {}
    more: list[Document] = [{"name": "next", "op": "linear" if tokens else "conv", "out": 4, **args}]
    plan = planned(
        shape, {"reconstruction": {"channels": 2}}, backbone={"layers": [*layers, *more, *END]},
        split={"after": [after]}, ema_links=[{"from": "next", "bias": "branch"}],
    )  # fmt: skip
    assert plan.units[0].links
    step = Session(plan).train_step(*batch(plan))
    assert all(bool(loss.isfinite()) for losses in step.losses.values() for loss in losses.values())
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(trace(plan).timeline)


@st.composite
def drawn(draw: st.DrawFn) -> Document:
    """Signals, maps and volumes of any size under some heads, in a precision, recomputed or not."""
    sizes = draw(
        st.lists(st.integers(3, 7), min_size=2, max_size=3) | st.lists(st.integers(8, 40), max_size=1, min_size=1)
    )
    row, k = ([{"name": "row", "op": "reshape", "shape": [2, 1, *sizes]}], [1, 3]) if len(sizes) == 1 else ([], 3)
    axes = max(len(sizes), 2)
    strides = [draw(st.sampled_from([1, 2])) for _ in range(axes - 1)]
    layers = [
        *row, {"name": "stem", "op": "conv_bn_relu", "out": 4, "k": k, "stride": [1, *strides]},
        {"name": "small", "op": draw(st.sampled_from(["max_pool", "avg_pool"])), "k": [1] * (axes - 1) + [2]},
        {"name": "body", "op": "conv", "out": 6, "k": k}, *END,
    ]  # fmt: skip
    names = draw(st.sets(st.sampled_from(["classifier", "similarity", "reconstruction", "goodness"]), min_size=1))
    train = {
        "precision": draw(st.sampled_from(["fp32", "bf16"])), "recompute": draw(st.booleans()),
        "optimizer": {"name": draw(st.sampled_from(["sgd", "adamw"]))},
    }  # fmt: skip
    data = {"dataset": "synthetic", "image_size": sizes, "channels": 2, "classes": CLASSES, "samples": 8}
    return {
        "specc": 1, "name": "drawn", "data": data | {"batch_size": BATCH}, "backbone": {"layers": layers},
        "split": {"after": [draw(st.sampled_from(["stem", "small"]))]}, "train": train,
        "auxiliary": {name: HEADS[name][name] for name in sorted(names)},
    }  # fmt: skip


@settings(max_examples=12, deadline=None, derandomize=True)
@given(drawn())
def test_predictions_for_samples_of_any_rank_are_what_is_traced(document: Document) -> None:
    plan = specc.compile(spec_of(document))
    found, traced = as_traced(plan), trace(plan)
    assert [moment.bytes for moment in found.timeline] == list(traced.timeline), document


# ---------------------------------------------------------------------------------------------- exactly


def restored(session: Session, features: Tensor, images: Tensor) -> Tensor:
    """The decoder in plain PyTorch: to the size of the sample, two convolutions, sigmoid."""
    own = {n.split("decoder.")[1]: p for n, p in session.named_parameters() if "decoder." in n}
    convolve, mode = (F.conv3d, "trilinear") if images.dim() == 5 else (F.conv2d, "bilinear")
    x = F.interpolate(features, images.shape[2:], mode=mode, align_corners=True)
    x = convolve(x, own["conv0.weight"], own["conv0.bias"], padding=1)
    x = F.relu(F.batch_norm(x, None, None, own["bn0.weight"], own["bn0.bias"], training=True))
    return F.binary_cross_entropy(torch.sigmoid(convolve(x, own["conv1.weight"], own["conv1.bias"], padding=1)), images)


@pytest.mark.parametrize("shape", ["odd map", "signal", "volume"])
def test_a_decoder_restores_samples_of_any_size(shape: str) -> None:
    plan = planned(shape, {"reconstruction": {"channels": 2}})
    session = Session(plan, dtype=torch.float64)
    images, labels = batch(plan, torch.float64)
    session.executor.run(images, labels, update=False)
    features = session.model.blocks[0](images)
    along = (1, -1, *(1 for _ in plan.data.shape[1:]))
    mean, std = (torch.tensor(v, dtype=torch.float64).view(along) for v in (plan.data.mean, plan.data.std))
    target = (images * std + mean).clamp(0, 1)
    want = restored(session, features, target[:, :, None] if shape == "signal" else target)
    found = session.executor.losses["unit0.independent"]["reconstruction"]
    assert float(found) == pytest.approx(float(want.detach()), rel=1e-12)
    parameter = dict(session.named_parameters())["body.conv.weight"]
    assert parameter.grad is not None
    torch.testing.assert_close(parameter.grad, torch.autograd.grad(want, [parameter])[0], rtol=1e-10, atol=1e-12)


def test_a_classifier_of_volumes_is_that_of_a_plain_loop() -> None:
    plan = planned("volume", {"classifier": {"layers": "1c1f"}})
    session = Session(plan, dtype=torch.float64)
    images, labels = batch(plan, torch.float64)
    session.executor.run(images, labels, update=False)
    own = {n.split("classifier.")[1]: p for n, p in session.named_parameters() if "classifier." in n}
    assert own["conv0.weight"].dim() == 5
    x = F.conv3d(session.model.blocks[0](images), own["conv0.weight"], padding=1)
    x = F.relu(F.batch_norm(x, None, None, own["bn0.weight"], own["bn0.bias"], training=True)).mean((2, 3, 4))
    want = F.cross_entropy(F.linear(x, own["fc0.weight"], own["fc0.bias"]), labels)
    found = session.executor.losses["unit0.independent"]["classification"]
    assert float(found) == pytest.approx(float(want.detach()), rel=1e-12)


# ---------------------------------------------------------------------------------------------- for images alone


def refused(**parts: Any) -> Any:
    with pytest.raises(SpecError) as caught:
        planned("volume", {"classifier": {}}, **parts)
    (found,) = caught.value.diagnostics
    assert found.span is not None
    return found


def test_a_kernel_of_another_number_of_axes_is_refused() -> None:
    found = refused(backbone={"layers": [{"name": "body", "op": "conv", "out": 4, "k": [3, 3]}, *END]})
    assert "[3, 3] is not one number for each of 3 axes" in found.message


def test_an_op_of_maps_alone_names_the_volume() -> None:
    layers = [{"name": "body", "op": "squeeze_excite", "squeeze": 1}, *END]
    assert "takes a feature map (C×H×W), not 2×4×6×6" in refused(backbone={"layers": layers}).message


DATA: Document = {"image_size": VOLUME, "channels": 2, "classes": CLASSES, "samples": 8, "batch_size": BATCH}


@pytest.mark.parametrize(
    ("data", "parts", "code"),
    [
        ({"dataset": "cifar10", "image_size": [8], "batch_size": 4}, {}, "SPC602"),
        ({"dataset": "synthetic", **DATA}, {"task": "segmentation"}, "SPC602"),
        ({"dataset": "synthetic", **DATA, "augment": "paper"}, {}, "SPC660"),
        ({"dataset": "synthetic", **DATA, "augment": ["horizontal_flip"]}, {}, "SPC660"),
    ],
    ids=["a data set of images", "a mask of a volume", "what papers do", "an augmentation"],
)
def test_what_is_for_images_alone_is_refused_at_its_place(data: Document, parts: Document, code: str) -> None:
    assert refused(data=data, **parts).code == code


def test_channels_last_has_no_effect_on_volumes() -> None:
    spec = spec_of(document("volume", {"classifier": {}}, train={"memory_format": "channels_last"}))
    plan, (warning,) = specc.pipeline.compile_spec(spec)
    assert (warning.code, warning.span is not None) == ("SPC108", True)
    Session(plan).train_step(*batch(plan))
    assert as_traced(plan).peak_bytes == trace(plan).peak_bytes
