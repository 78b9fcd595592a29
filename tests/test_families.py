"""Every family is torchvision's network: parameters, names, and numbers in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision.models as models
from pydantic import TypeAdapter
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.engine.network import GraphModule
from runtime.memory.trace import fake_batch, trace
from specc.diagnostics import SpecError
from specc.graph.families import Backbone, Family
from specc.plan import Network, Plan

from .conftest import SEED
from .documents import Document, document, spec_of
from .parts import partly

VARIANTS: dict[str, Document] = {
    **{f"resnet{depth}": {"family": "resnet", "depth": depth} for depth in (18, 34, 50, 101, 152)},
    "resnext50_32x4d": {"family": "resnext"},
    "resnext101_32x8d": {"family": "resnext", "depth": 101, "width_per_group": 8},
    "resnext101_64x4d": {"family": "resnext", "depth": 101, "groups": 64},
    "wide_resnet50_2": {"family": "wide_resnet"},
    "wide_resnet101_2": {"family": "wide_resnet", "depth": 101},
    **{f"vgg{depth}": {"family": "vgg", "depth": depth, "batch_norm": False} for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": {"family": "vgg", "depth": depth} for depth in (11, 13, 16, 19)},
    "vit_b_16": {"family": "vit"},
    "vit_b_32": {"family": "vit", "patch": 32},
    "vit_l_16": {"family": "vit", "width": 1024, "depth": 24, "heads": 16},
    "vit_l_32": {"family": "vit", "patch": 32, "width": 1024, "depth": 24, "heads": 16},
    "vit_h_14": {"family": "vit", "patch": 14, "width": 1280, "depth": 32, "heads": 16},
    "mobilenet_v3_small": {"family": "mobilenet_v3"},
    "mobilenet_v3_large": {"family": "mobilenet_v3", "size": "large"},
    **{f"convnext_{size}": {"family": "convnext", "size": size} for size in ("tiny", "small", "base", "large")},
}

SMALL_VIT: Document = {"family": "vit", "patch": 8, "width": 24, "depth": 3, "heads": 4, "mlp": 40}

NUMBERS: dict[str, tuple[int, Document]] = {  # a network and the side of its images
    "resnet18": (32, VARIANTS["resnet18"]),
    "resnet50": (32, VARIANTS["resnet50"]),
    "resnext50_32x4d": (32, VARIANTS["resnext50_32x4d"]),
    "wide_resnet50_2": (32, VARIANTS["wide_resnet50_2"]),
    "vgg11": (32, VARIANTS["vgg11"] | {"dropout": 0.0, "hidden": 32}),
    "vgg11_bn": (32, VARIANTS["vgg11_bn"] | {"dropout": 0.0, "hidden": 32}),
    "mobilenet_v3_small": (32, VARIANTS["mobilenet_v3_small"] | {"dropout": 0.0}),
    "mobilenet_v3_large": (32, VARIANTS["mobilenet_v3_large"] | {"dropout": 0.0}),
    "convnext_tiny": (32, VARIANTS["convnext_tiny"] | {"drop_path": 0.0, "layer_scale": 0.5}),
    "vit": (24, SMALL_VIT),
}


def backbone(document: Document) -> Family:
    found: Family = TypeAdapter(Backbone).validate_python(document)
    return found


def theirs(name: str, size: int) -> nn.Module:
    """torchvision's network with nothing random in its forward; VGG's linear layers are narrower to save time."""
    with torch.device("meta"):
        if name == "vit":
            return models.VisionTransformer(size, 8, 3, 4, 24, 40, num_classes=10)
        build: Callable[..., nn.Module] = getattr(models, name)
        model = build(num_classes=10, **EXACT.get(name[:3], {}))
        if isinstance(model, models.VGG):
            widths = {0: (25088, 32), 3: (32, 32), 6: (32, 10)}
            for i, (wide, out) in widths.items():
                model.classifier[i] = nn.Linear(wide, out)
    return model


EXACT: dict[str, dict[str, float]] = {
    "vgg": {"dropout": 0.0}, "mob": {"dropout": 0.0}, "con": {"stochastic_depth_prob": 0.0, "layer_scale": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_tensors_are_those_of_torchvision(name: str) -> None:
    """Each tensor under torchvision's name, in torchvision's shape; none is missing."""
    with torch.device("meta"):
        model: nn.Module = getattr(models, name)()
    ours = backbone(VARIANTS[name])
    nodes = tuple(ours.expand((3, 224, 224), 1000).nodes)
    tensors = [(f"{n.name}.{t}", s) for n in nodes for t, s in (*n.parameters.items(), *n.buffers.items())]
    assert {ours.torchvision_name(key): shape for key, shape in tensors} == {
        key: tuple(value.shape) for key, value in model.state_dict().items()
    }
    assert sum(torch.Size(s).numel() for n in nodes for s in n.parameters.values()) == sum(
        p.numel() for p in model.parameters()
    )


@pytest.mark.parametrize("name", partly(NUMBERS, ("wide_resnet50_2", "convnext_tiny", "resnext50_32x4d")))
def test_numbers_are_those_of_torchvision(name: str) -> None:
    """Evaluation, a training forward, all gradients and the statistics left behind, to 1e-10 in float64."""
    size, document = NUMBERS[name]
    generator = torch.Generator().manual_seed(SEED)
    model = theirs(name, size).to(torch.float64).to_empty(device="cpu")
    fill(model, generator)
    ours = backbone(document)
    graph = ours.expand((3, size, size), 10)
    with torch.device("meta"):
        module = GraphModule(Network("net", "", graph.part(0, len(graph.layers) - 1), "net"))
    module.to(torch.float64).to_empty(device="cpu")
    copy(ours, model, module)
    images = torch.rand(3, 3, size, size, dtype=torch.float64, generator=generator)
    for training in (False, True):
        got, want = module.train(training)(images), model.train(training)(images)
        assert_close(got, want)
    got.square().sum().backward()
    want.square().sum().backward()
    gradients = {key: p.grad for key, p in model.named_parameters()}
    for key, parameter in module.canonical_parameters():
        assert_close(parameter.grad, gradients[str(ours.torchvision_name(key))], key)
    state = model.state_dict()
    for key, buffer in module.canonical_buffers():
        assert_close(buffer, state[str(ours.torchvision_name(key))], key)


@torch.no_grad()
def fill(model: nn.Module, generator: torch.Generator) -> None:
    """Random weights that keep the size of what passes through, scales and statistics around one."""
    for tensor in model.state_dict().values():
        if tensor.dim() > 1:
            tensor.normal_(generator=generator).mul_((2 * len(tensor) / tensor.numel()) ** 0.5)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
        else:
            tensor.zero_()


@torch.no_grad()
def copy(ours: Family, model: nn.Module, module: GraphModule) -> None:
    state = model.state_dict()
    for key, parameter in module.canonical_parameters():
        own = state[str(ours.torchvision_name(key))]
        assert own.shape == parameter.shape
        parameter.data = own  # the same numbers: of the largest models a copy takes half a gigabyte
    for key, buffer in module.canonical_buffers():
        buffer.copy_(state[str(ours.torchvision_name(key))])


def assert_close(got: Tensor | None, want: Tensor | None, what: str = "logits") -> None:
    assert got is not None
    assert want is not None
    got, want = got.detach().double(), want.detach().double()
    assert torch.isfinite(want).all()
    error = float((got - want).norm() / want.norm().clamp(min=1.0))
    assert error < 1e-10, f"{what} is off by {error:.1e}"


TRAINED: dict[str, tuple[int, Document]] = {  # small members of each family and the side of their images
    "resnet_cifar": (16, {"family": "resnet_cifar", "depth": 14}),
    "resnet": (32, {"family": "resnet", "depth": 18}),
    "resnext": (32, {"family": "resnext", "groups": 4}),
    "wide_resnet": (32, {"family": "wide_resnet"}),
    "vgg": (32, {"family": "vgg", "depth": 11, "hidden": 32, "dropout": 0.0}),
    "vit": (24, SMALL_VIT | {"depth": 5}),
    "mobilenet_v3": (64, {"family": "mobilenet_v3", "width": 0.5, "dropout": 0.0}),
    "convnext": (32, {"family": "convnext"}),
}


def plan_of(backbone: Document, size: int, **parts: object) -> Plan:
    """Four blocks with everything on them: two levels, EMA links with a bias branch, a classifier and a decoder."""
    return specc.compile(spec_of(everything(backbone, size) | parts))


def everything(backbone: Document, size: int) -> Document:
    data = {"dataset": "synthetic", "image_size": size, "channels": 3, "classes": 10, "samples": 24, "batch_size": 4}
    return document(
        data=data,
        backbone=backbone,
        split={"blocks": 4},
        auxiliary={"classifier": {"hidden": 16}, "reconstruction": {"channels": 4}},
        levels=[{"name": "independent", "window": 1}, {"name": "cascade", "window": 2}],
        ema_links=[{"from": "next", "momentum": 0.9}],
    )


# 70 million numbers to draw for the wide one
@pytest.mark.parametrize("name", partly([name for name in TRAINED if name != "wide_resnet"], ("resnext", "vgg")))
def test_a_step_with_everything(name: str) -> None:
    size, backbone = TRAINED[name]
    plan = plan_of(backbone, size)
    images, labels = fake_batch(plan)
    step = Session(plan).train_step(torch.rand(images.shape, generator=torch.Generator().manual_seed(SEED)), labels)
    terms = {name: set(found) for name, found in step.losses.items()}
    both = {"classification", "reconstruction"}
    assert terms == {
        **{f"unit{i}.independent": both for i in range(3)}, "unit3.independent": {"classification"},
        **{f"unit{i}.cascade": both for i in range(1, 3)}, "unit3.cascade": {"classification"},
    }  # fmt: skip
    assert all(torch.isfinite(loss) for found in step.losses.values() for loss in found.values())


@pytest.mark.parametrize("name", partly(TRAINED, ("convnext", "mobilenet_v3", "resnet", "resnext", "wide_resnet")))
def test_the_predicted_peak_is_the_traced_one(name: str) -> None:
    size, backbone = TRAINED[name]
    plan = plan_of(backbone, size)
    traced = trace(plan).peak_bytes
    assert abs(plan.memory.peak_bytes - traced) < 0.001 * traced


def test_a_decoder_lays_tokens_out_as_a_map() -> None:
    """Nine patches, and before them the class token, which the decoder leaves out."""
    graph = plan_of(SMALL_VIT | {"depth": 5}, 24).networks["unit1.independent.decoder"].graph
    assert [node.shape for node in graph.nodes[:2]] == [(24, 3, 3), (24, 24, 24)]


def test_heads_on_vectors() -> None:
    """Linear layers alone; the decoder starts from one pixel."""
    ops = [{"op": "flatten"}, *[{"op": "linear", "out": 8}] * 3, {"op": "linear", "out": 10}]
    layers = [{"name": f"l{i}"} | op for i, op in enumerate(ops)]
    plan = plan_of({"layers": layers}, 4, split={"after": ["l1", "l2"]})
    decoder = plan.networks["unit1.independent.decoder"].graph
    classifier = plan.networks["unit1.independent.classifier"].graph
    assert decoder.nodes[0].shape == (8, 1, 1)
    assert [node.op.name for node in classifier.nodes] == ["linear", "relu", "linear"]
    images, labels = fake_batch(plan)
    losses = Session(plan).train_step(images + 0.5, labels).losses
    assert all(torch.isfinite(loss) for found in losses.values() for loss in found.values())


@pytest.mark.parametrize(
    ("parts", "code", "message"),
    [
        ({"backbone": SMALL_VIT | {"heads": 5}}, "SPC104", "5 heads cannot share a width of 24"),
        ({"backbone": SMALL_VIT | {"patch": 7}}, "SPC301", "cannot be cut into patches of 7×7"),
        ({"backbone": {"family": "convnext"}}, "SPC301", "24×24"),
        (
            {"auxiliary": {"reconstruction": {"patches": {"grid": [4, 4]}}}},
            "SPC417",
            "more cells than the feature map 24×3×3",
        ),
        ({"backbone": {"family": "vgg", "depth": 12}}, "SPC105", "12"),
    ],
)
def test_what_cannot_be_built(parts: Document, code: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        specc.compile(spec_of(everything(SMALL_VIT | {"depth": 5}, 24) | parts))
    assert {found.code for found in caught.value.diagnostics} == {code}
    assert message in caught.value.diagnostics[0].message
