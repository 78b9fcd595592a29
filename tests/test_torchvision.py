"""Any torchvision model: names, numbers, memory, layers, and the cache that makes the second time instant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.models as models
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.engine.network import GraphModule
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.graph.families import TorchvisionModel
from specc.graph.graph import BackboneGraph
from specc.graph.layout import Layout
from specc.graph.ops import Opaque
from specc.graph.problems import BackboneError
from specc.memory.prediction import as_traced, first_difference
from specc.plan import Network, Plan

from .conftest import SEED
from .documents import Document, spec_of
from .parts import partly

# side of the image, what has no word in the vocabulary
MODELS: dict[str, tuple[int, int]] = {
    "alexnet": (64, 0),
    "convnext_tiny": (32, 0),
    "deeplabv3_mobilenet_v3_large": (65, 0),
    "deeplabv3_resnet101": (33, 0),
    "densenet121": (32, 0),
    "efficientnet_b0": (32, 0),
    "fcn_resnet50": (33, 0),
    "googlenet": (64, 0),
    "inception_v3": (80, 0),
    "lraspp_mobilenet_v3_large": (65, 0),
    "mnasnet0_5": (32, 0),
    "mobilenet_v2": (32, 0),
    "mobilenet_v3_small": (32, 0),
    "regnet_y_400mf": (32, 0),
    "resnet18": (32, 0),
    "shufflenet_v2_x0_5": (32, 42),
    "squeezenet1_1": (32, 0),
    "swin_t": (32, 15),
    "swin_v2_t": (32, 15),
    "vit_b_32": (64, 0),
}
CLASSES = 7
LARGE = (
    "alexnet",
    "convnext_tiny",
    "deeplabv3_resnet101",
    "fcn_resnet50",
    "inception_v3",
    "swin_t",
    "swin_v2_t",
    "vit_b_32",
)


def graph_of(name: str) -> BackboneGraph:
    size = MODELS[name][0]
    return TorchvisionModel(torchvision=name).expand((3, size, size), CLASSES)


def theirs(name: str) -> nn.Module:
    """torchvision's own model with random tensors, dropping nothing."""
    size = MODELS[name][0]
    options: dict[str, Any] = {"image_size": size} if name.startswith("vit") else {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": False}
    if name in models.list_models(module=models.segmentation):
        options = {"aux_loss": False, "weights_backbone": None}
    model: nn.Module = models.get_model(name, weights=None, num_classes=CLASSES, **options)
    generator = torch.Generator().manual_seed(SEED)
    for key, tensor in model.to(torch.float64).state_dict().items():
        if tensor.is_floating_point() and not key.endswith("relative_coords_table"):
            tensor.copy_(random_like(key, tensor, generator))
    for module in model.modules():
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
    model.register_forward_hook(lambda _, __, result: result["out"] if isinstance(result, dict) else result)
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
            if isinstance(tensor, nn.Parameter):
                tensor.data = state[key]  # the same numbers: of the largest models a copy takes most of a gigabyte
            else:
                tensor.copy_(state[key])
    for part in module.modules():
        if hasattr(part, "p"):
            part.p = 0.0
    return module


def assert_close(got: Tensor | None, want: Tensor | None, what: str = "") -> None:
    assert got is not None
    assert want is not None
    error = float((got - want).detach().abs().max()) / max(1.0, float(want.detach().abs().max()))
    assert error <= 1e-10, f"{what} is off by {error:.1e}"


@pytest.mark.parametrize("name", partly(MODELS, LARGE))
def test_numbers_are_those_of_torchvision(name: str) -> None:
    """Evaluation, a training forward and all gradients, with torchvision's own state dict, to 1e-10 in float64."""
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


PLACES: dict[str, dict[str, Layout]] = {
    "vit_b_32": {"encoder.layers.encoder_layer_3": Layout((2, 2), skip=1)},
    "swin_t": {"features.1.0": Layout((8, 8)), "features.2": Layout((4, 4)), "features.7.1": Layout((1, 1))},
    "swin_v2_t": {"features.3.1": Layout((4, 4)), "features.5.0": Layout((2, 2))},
}


@pytest.mark.parametrize("name", partly(PLACES, ("swin_t", "swin_v2_t")))
def test_tokens_are_known_to_stand_as_the_image_does(name: str) -> None:
    """Shifted windows are undone inside of an opaque part, merged patches are a smaller picture."""
    graph = graph_of(name)
    ends = {layer.name: layer.nodes[-1].name for layer in graph.layers}
    assert {layer: graph.layouts[ends[layer]] for layer in PLACES[name]} == PLACES[name]


@pytest.mark.parametrize("name", partly(MODELS, LARGE))
def test_only_what_the_vocabulary_lacks_is_opaque(name: str) -> None:
    graph = graph_of(name)
    assert sum(isinstance(node.op, Opaque) for node in graph.nodes) == MODELS[name][1]


# Layers


LAYERS = {
    "resnet18": "conv1 layer1.0 layer1.1 layer2.0 layer2.1 layer3.0 layer3.1 layer4.0 layer4.1 fc",
    "densenet121": "features.conv0 "
    + " ".join(
        f"features.denseblock{i}.denselayer{j}" if j else f"features.transition{i - 1}"
        for i, count in enumerate((6, 12, 24, 16), 1)
        for j in range(i == 1, count + 1)
    )
    + " classifier",
    "alexnet": "features.0 features.3 features.6 features.8 features.10 classifier",
    "googlenet": "conv1 conv2 conv3 "
    + " ".join(f"inception{i}" for i in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"))
    + " fc",
    "vit_b_32": "conv_proj " + " ".join(f"encoder.layers.encoder_layer_{i}" for i in range(12)) + " heads",
    "swin_t": "features.0 features.1.0 features.1.1 features.2 features.3.0 features.3.1 features.4 "
    + " ".join(f"features.5.{i}" for i in range(6))
    + " features.6 features.7.0 features.7.1 head",
}


@pytest.mark.parametrize("name", partly(LAYERS, ("swin_t",)))
def test_layers_are_called_as_modules_and_each_ends_at_a_legal_cut(name: str) -> None:
    graph = graph_of(name)
    assert [layer.name for layer in graph.layers] == LAYERS[name].split()
    assert graph.cuts == tuple(LAYERS[name].split()[:-1])


@pytest.mark.full  # its small sister of `test_tokens_of_traced_networks.py` is always there
def test_channels_that_come_last_are_tokens() -> None:
    graph = graph_of("swin_t")
    shapes = {layer.name: layer.shape for layer in graph.layers}
    assert (shapes["features.0"], shapes["features.7.1"]) == ((64, 96), (1, 768))


# One step


def document(name: str, **parts: Any) -> Document:
    size = MODELS[name][0] if name in MODELS else 64
    images = {"image_size": size, "channels": 3, "classes": CLASSES, "samples": 8, "batch_size": 4}
    return {
        "specc": 1,
        "name": "any",
        "data": {"dataset": "synthetic", **images},
        "backbone": {"torchvision": name},
        "split": {"blocks": 4},
        "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 8}},
        "levels": [{"name": "independent", "window": 1}],
    } | parts


def plan_of(name: str, **parts: Any) -> Plan:
    return specc.compile(spec_of(document(name, **parts)))


PRECISIONS = {
    "shufflenet_v2_x0_5": "bf16", "swin_t": "bf16", "swin_v2_t": "fp16", "densenet121": "fp32",
    "efficientnet_b0": "fp32",
}  # fmt: skip


@pytest.mark.parametrize("name", partly(PRECISIONS, ("densenet121", "swin_t", "swin_v2_t")))
def test_a_plan_survives_json_and_its_memory_is_that_of_the_trace(name: str) -> None:
    """In every instruction, what no op describes included: it is measured in every precision."""
    plan = plan_of(name, train={"precision": PRECISIONS[name]}, levels=[{"name": "all", "window": 2}])
    assert Plan.from_json(plan.to_json()) == plan
    predicted, traced = as_traced(plan), trace(plan)
    assert predicted.peak_bytes == pytest.approx(traced.peak_bytes, rel=1e-3)
    assert first_difference(predicted, traced.timeline, 0.01) is None


@pytest.mark.parametrize("name", partly(("shufflenet_v2_x0_5", "swin_v2_t"), ("swin_v2_t",)))
def test_one_step_trains_every_block(name: str) -> None:
    links: Document = {"ema_links": [{"from": "next", "layers": 1, "momentum": 0.9, "bias": "branch"}]}
    session = Session(plan_of(name, **(links if name == "shufflenet_v2_x0_5" else {})))
    before = {key: p.clone() for key, p in session.named_parameters()}
    size = MODELS[name][0]
    step = session.train_step(torch.rand(4, 3, size, size), torch.arange(4))
    assert all(torch.isfinite(total) for total in step.total.values())
    same = [key for key, p in session.named_parameters() if torch.equal(p, before[key])]
    assert [key for key in same if key.endswith("weight") and ".ema." not in key] == []


MADE = {
    "swin_t": ("relative_position_index", "qkv.bias"),
    "swin_v2_t": ("logit_scale", "relative_position_index", "relative_coords_table", "qkv.bias"),
}


@pytest.mark.parametrize("name", partly(MADE, MADE))
def test_tensors_of_opaque_parts_begin_as_in_torchvision(name: str) -> None:
    """Constants and computed buffers; what torchvision draws, specc draws by its own rule."""
    session = Session(plan_of(name))
    state = getattr(models, name)(num_classes=CLASSES).state_dict()
    ours = {**dict(session.named_parameters()), **dict(session.named_buffers())}
    for end in MADE[name]:
        keys = [key for key in state if key.endswith(end)]
        assert keys
        assert all(torch.equal(ours[key], state[key]) for key in keys)


# Diagnostics


class Deciding(nn.Module):
    """What it does depends on the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_what_cannot_be_traced_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "list_models", lambda **_: ["deciding"])
    monkeypatch.setattr(models, "get_model", lambda *_, **__: Deciding())
    with pytest.raises(BackboneError) as caught:
        TorchvisionModel(torchvision="deciding").expand((3, 8, 8), CLASSES)
    assert caught.value.problems[0].code == "SPC308"
    assert "cannot trace `deciding`" in str(caught.value)


def codes_of(**parts: Any) -> list[tuple[str, int, str]]:
    report = check_text(json.dumps(document("resnet18", **parts), indent=1))
    return [(d.code, d.span.line, " ".join((d.message, *d.help))) for d in report.diagnostics]


def test_an_unknown_model_names_the_nearest() -> None:
    ((code, line, text),) = codes_of(backbone={"torchvision": "resnet81"})
    assert (code, line) == ("SPC307", 13)
    assert "resnet18" in text


def test_small_images_and_other_channels_are_refused() -> None:
    data = document("resnet18")["data"]
    ((code, _, text),) = codes_of(backbone={"torchvision": "inception_v3"}, data=data | {"image_size": 16})
    assert code == "SPC301"
    assert "16×16" in text
    ((code, _, text),) = codes_of(data=data | {"channels": 2})
    assert code == "SPC301"
    assert "3 channels" in text


def test_a_map_of_classes_is_no_answer_for_an_image() -> None:
    ((code, line, text),) = codes_of(backbone={"torchvision": "lraspp_mobilenet_v3_large"})
    assert (code, line) == ("SPC304", 12)
    assert f"the backbone gives {CLASSES}×32×32, but `classification` with {CLASSES} classes takes {CLASSES}" in text


# The cache

VALIDATES = """
import sys
import specc
specc.compile(sys.argv[1])
assert {name for name in sys.modules if name.partition(".")[0] in ("torch", "torchvision")} == set()
"""


def test_a_known_model_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(document("resnet18")))
    graph_of("resnet18")
    subprocess.run([sys.executable, "-c", VALIDATES, str(path)], check=True, cwd=Path(__file__).parents[1])


def test_a_damaged_cache_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))
    graph = graph_of("squeezenet1_1")
    (file,) = (p for p in tmp_path.rglob("*") if p.is_file())
    whole = file.read_text()
    for damage in ("", "[]", whole[:-100], whole.replace("relu", "rely"), "null"):
        file.write_text(damage)
        assert graph_of("squeezenet1_1") == graph
        assert file.read_text() == whole
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [file]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "file"))
    assert graph_of("squeezenet1_1").layers


def test_without_torchvision_the_cache_still_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_of("resnet18")
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    assert graph_of("resnet18").layers
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path))
    with pytest.raises(BackboneError) as caught:
        graph_of("resnet18")
    assert caught.value.problems[0].code == "SPC309"
