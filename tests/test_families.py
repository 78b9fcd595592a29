"""Every family is torchvision's network: parameters, names, and numbers in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision.models as models
from pydantic import TypeAdapter
from torch import Tensor, nn

from runtime.network import GraphModule
from specc.backbone.families import Backbone, Family
from specc.plan import Network

from .conftest import SEED

Document = dict[str, Any]

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


@pytest.mark.parametrize("name", NUMBERS)
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
    images = torch.rand(4, 3, size, size, dtype=torch.float64, generator=generator)
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
    for key, tensor in (*module.canonical_parameters(), *module.canonical_buffers()):
        tensor.copy_(state[str(ours.torchvision_name(key))])


def assert_close(got: Tensor | None, want: Tensor | None, what: str = "logits") -> None:
    assert got is not None
    assert want is not None
    got, want = got.detach().double(), want.detach().double()
    assert torch.isfinite(want).all()
    error = float((got - want).norm() / want.norm().clamp(min=1.0))
    assert error < 1e-10, f"{what} is off by {error:.1e}"
