"""Any torchvision model: names, numbers, memory, layers, and the cache that makes the second time instant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.models as models
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.network import GraphModule
from runtime.trace import trace
from specc.backbone.families import TorchvisionModel
from specc.backbone.graph import BackboneGraph
from specc.backbone.ops import Opaque
from specc.backbone.problems import BackboneError
from specc.plan import Network, Plan

from .conftest import SEED
from .documents import Document, spec_of

# side of the image, what has no word in the vocabulary
MODELS: dict[str, tuple[int, int]] = {
    "alexnet": (64, 0),
    "convnext_tiny": (32, 0),
    "densenet121": (32, 0),
    "efficientnet_b0": (32, 0),
    "googlenet": (64, 0),
    "inception_v3": (80, 0),
    "mnasnet0_5": (32, 0),
    "mobilenet_v2": (32, 0),
    "mobilenet_v3_small": (32, 0),
    "regnet_y_400mf": (32, 0),
    "resnet18": (32, 0),
    "shufflenet_v2_x0_5": (32, 42),
    "squeezenet1_1": (32, 0),
    "swin_t": (32, 15),
    "swin_v2_t": (32, 15),
    "vgg11_bn": (32, 0),
    "vit_b_32": (64, 0),
}
CI = ("densenet121", "efficientnet_b0", "googlenet", "shufflenet_v2_x0_5", "swin_t", "swin_v2_t", "squeezenet1_1", "vit_b_32")
CLASSES = 7


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("cache")
        patch.setenv("SPECC_CACHE", str(path))
        yield path


def graph_of(name: str) -> BackboneGraph:
    size = MODELS[name][0]
    return TorchvisionModel(torchvision=name).expand((3, size, size), CLASSES)


def theirs(name: str) -> nn.Module:
    """torchvision's own model with random tensors, dropping nothing."""
    size = MODELS[name][0]
    options: dict[str, Any] = {"image_size": size} if name.startswith("vit") else {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": False}
    with torch.device("meta"):
        model: nn.Module = models.get_model(name, weights=None, num_classes=CLASSES, **options)
    fixed = set()
    if name.startswith("swin"):  # some buffers are no statistics: take them from a model that was really built
        fixed = {key for key, _ in model.named_buffers()}
        built = dict(models.get_model(name, weights=None, num_classes=CLASSES).named_buffers())
    model.to(torch.float64).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(SEED)
    for key, tensor in model.state_dict().items():
        if key in fixed:
            tensor.copy_(built[key])
        elif tensor.is_floating_point():
            tensor.copy_(random_like(key, tensor, generator))
        else:
            tensor.zero_()
    for module in model.modules():
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
    return model


def random_like(key: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers that keep a deep network's values in range."""
    draw = torch.rand(tensor.shape, dtype=torch.float64, generator=generator)
    if tensor.dim() > 1:
        return (draw - 0.5) * (3.0 / tensor[0].numel() ** 0.5)
    return draw + 0.5 if key.endswith(("weight", "running_var")) else (draw - 0.5) * 0.2


def ours(graph: BackboneGraph, state: dict[str, Tensor]) -> GraphModule:
    """The whole graph as one module that holds `state`, under torchvision's names without exception."""
    names = TorchvisionModel(torchvision="any").torchvision_name
    with torch.device("meta"):
        module = GraphModule(Network("net", "", graph.part(0, len(graph.layers) - 1), "net"))
    module.to(torch.float64).to_empty(device="cpu")
    tensors = {names(k): t for k, t in (*module.canonical_parameters(), *module.canonical_buffers())}
    assert tensors.keys() == state.keys()
    with torch.no_grad():
        for key, tensor in tensors.items():
            assert tensor.shape == state[key].shape
            tensor.copy_(state[key])
    for part in module.modules():
        if hasattr(part, "p"):
            part.p = 0.0
    return module


def assert_close(got: Tensor | None, want: Tensor | None, what: str = "") -> None:
    assert got is not None
    assert want is not None
    error = float((got - want).abs().max()) / max(1.0, float(want.abs().max()))
    assert error <= 1e-10, f"{what} is off by {error:.1e}"


@pytest.mark.parametrize("name", CI)
def test_numbers_are_those_of_torchvision(name: str) -> None:
    """Evaluation, a training forward and all gradients, with torchvision's own state dict, to 1e-10 in float64."""
    check_numbers(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in CI])
def test_numbers_are_those_of_torchvision_elsewhere(name: str) -> None:
    check_numbers(name)


def check_numbers(name: str) -> None:
    model = theirs(name)
    module = ours(graph_of(name), model.state_dict())
    size = MODELS[name][0]
    images = torch.rand(3, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        assert_close(module.eval()(images), model.eval()(images), "evaluation")
    got, want = module.train()(images), model.train()(images)
    assert_close(got, want, "training")
    got.square().mean().backward()
    want.square().mean().backward()
    names = TorchvisionModel(torchvision=name).torchvision_name
    gradients = {names(key): p.grad for key, p in module.canonical_parameters()}
    for key, parameter in model.named_parameters():
        assert_close(gradients[key], parameter.grad, key)
    after = {names(key): buffer for key, buffer in module.canonical_buffers()}
    for key, buffer in model.named_buffers():
        assert_close(after[key].double(), buffer.double(), key)


@pytest.mark.parametrize("name", CI)
def test_few_parts_are_opaque(name: str) -> None:
    graph = graph_of(name)
    assert sum(isinstance(node.op, Opaque) for node in graph.nodes) == MODELS[name][1]
    assert len(graph.cuts) == len(graph.layers) - 1
