"""What is exported computes what the run computes, in every format, and says what its numbers mean."""

from __future__ import annotations

import json
import os
import re
import stat
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.models as models
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import runtime.export.graphs as graphs
from runtime import Session
from runtime.engine.losses import loss_function
from runtime.engine.predictor import Predictor
from runtime.errors import RunError
from runtime.export.facts import facts
from runtime.export.formats import FORMATS
from runtime.export.trained import Trained, unit_of
from runtime.export.writing import compared, export
from specc.plan import Plan
from specc.step.heads import HeadRun

from .checkpoints import flip, newest
from .commands import ROOT, specc
from .conftest import SEED
from .documents import HPFF, MAN, Document, compiled, document
from .parts import partly
from .runs import saved

VIT: Document = {"family": "vit", "patch": 8, "width": 24, "depth": 3, "heads": 4, "mlp": 40}
SCALED: Document = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "scaled"}]}
PARAMETER: Document = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "parameter"}]}
LAYERS: Document = {
    "layers": [{"name": "a", "op": "conv", "out": 4}, {"name": "b", "op": "global_avg_pool"},
               {"name": "c", "op": "linear", "out": 10}]
}  # fmt: skip
SHORT: Document = {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]}
BOTH: Document = {"ema_links": [*MAN["ema_links"], *SCALED["ema_links"]]}
MIDDLE = "unit1.independent"


def on(backbone: Document, size: int, **parts: Any) -> Document:
    data = {"dataset": "synthetic", "image_size": size, "channels": 3, "classes": 10, "samples": 24, "batch_size": 6}
    return document(backbone=backbone, data=data, split={"blocks": 3}, **parts)


def noise(plan: Plan, count: int = 2) -> Tensor:
    return torch.rand(count, *plan.data.shape, generator=torch.Generator().manual_seed(SEED))


# ------------------------------------------------------------------------------------------- what is computed


@pytest.mark.parametrize(
    "links", [{}, MAN, SCALED, PARAMETER, BOTH], ids=["none", "branch", "scaled", "parameter", "both"]
)
@torch.no_grad()
def test_an_early_exit_gives_the_logits_of_which_training_takes_the_loss(links: Document) -> None:
    """The unit's own instructions, run by the training machine in evaluation mode, say the same loss."""
    plan = compiled(auxiliary={"classifier": {"layers": "1c2f", "hidden": 8}}, **links)
    session, unit = Session(plan), plan.by_unit[MIDDLE]
    session.model.train(False)
    for tensor in session.model.tensors().values():  # so that no branch is like another
        if tensor.is_floating_point():
            tensor.add_(0.1 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(SEED)))
    images, labels = noise(plan, 6), torch.arange(6) % 4
    logits = Predictor(session.model, unit)(images)
    features = images
    for block in plan.blocks[: unit.end + 1]:
        features = session.model.networks[block.name](features, images)
    if unit.links:
        features = session.executor.step.linked(unit, features, images)
    (head,) = unit.telling
    with torch.enable_grad():
        loss, _ = HeadRun(session.executor.machine, head, labels)(features)
    torch.testing.assert_close(loss_function(head.loss)(logits, labels), loss)
    torch.testing.assert_close(Trained(session, unit, {}).logits(images), logits)


def test_goodness_of_classes_leaves_with_a_number_a_class() -> None:
    plan = compiled(auxiliary={"goodness": {"negatives": "classes"}})
    session, unit, images = Session(plan), plan.by_unit[MIDDLE], noise(plan)
    logits = Predictor(session.model, unit)(images)
    assert logits.shape == (2, 4)
    torch.testing.assert_close(logits, Trained(session, unit, {}).logits(images))


def test_a_map_of_classes_leaves_patch_beside_patch() -> None:
    plan = compiled(
        task="segmentation",
        backbone={"layers": [{"name": "a", "op": "conv", "out": 4}, {"name": "b", "op": "conv", "out": 4}]},
        split={"after": ["a"]},
        auxiliary={"classifier": {"layers": "1c1f", "patches": {"grid": [1, 2], "fuse": "losses"}}},
    )
    session, unit, images = Session(plan), plan.by_unit["unit0.independent"], noise(plan)
    logits = Predictor(session.model, unit)(images)
    assert logits.shape == (2, 4, 8, 8)
    torch.testing.assert_close(logits, Trained(session, unit, {}).logits(images))


@pytest.mark.parametrize("fuse", ["losses", "outputs"])
def test_a_classifier_on_patches_answers_with_their_mean(fuse: str) -> None:
    patches = {"grid": [2, 2], "weights": "separate", "fuse": fuse}
    plan = compiled(auxiliary={"classifier": {"layers": "0c1f", "patches": patches}})
    session, unit = Session(plan), plan.by_unit["unit0.independent"]
    seen: list[Tensor] = []
    predictor = Predictor(session.model, unit)
    for module in predictor.heads:
        module.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        logits = predictor(noise(plan))
    assert len(seen) == 4
    torch.testing.assert_close(logits, torch.stack(seen).mean(0))


def test_the_last_unit_leaves_where_the_backbone_ends() -> None:
    plan = compiled()
    session, images = Session(plan), noise(plan)
    logits = Predictor(session.model, plan.by_unit["unit3.independent"])(images)
    assert torch.equal(logits, session.predict(images))


def test_a_network_that_reads_labels_is_shown_images_without_one() -> None:
    plan = compiled(auxiliary={"goodness": {"negatives": "images"}})
    session, images = Session(plan), noise(plan)
    assert torch.equal(Predictor(session.model)(images), session.predict(images))


# ------------------------------------------------------------------------------------------- files


def of_tensors(path: Path, plan: Plan, unit: str | None) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    session = Session(plan)
    for name, tensor in load_file(path).items():
        session.model.tensors()[name].data.copy_(tensor)
    with safe_open(path, framework="pt") as file:
        return Predictor(session.model, plan.by_unit[unit] if unit else None), file.metadata()


def of_program(path: Path, plan: Plan, unit: str | None) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    extra = {"specc.json": ""}
    return torch.export.load(path, extra_files=extra).module(), json.loads(extra["specc.json"])


def of_onnx(path: Path, plan: Plan, unit: str | None) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    model = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    facts = model.get_modelmeta().custom_metadata_map
    return lambda images: torch.from_numpy(model.run(["logits"], {"images": images.numpy()})[0]), facts


READERS = {"safetensors": of_tensors, "torch_export": of_program, "onnx": of_onnx}


@pytest.mark.parametrize("case", partly(product(READERS, (None, MIDDLE)), [("onnx", MIDDLE)]))
@torch.no_grad()
def test_a_file_computes_what_the_run_does_and_says_what_it_means(case: tuple[str, str | None], tmp_path: Path) -> None:
    """For batches of any size; the mean, deviation and size of what goes in and the classes stand in the file."""
    to, unit = case
    if to == "onnx":
        pytest.importorskip("onnxscript")
    plan = compiled(backbone=SHORT, split={"after": ["stage1.0", "stage2.0"]}, **MAN)
    session = saved(plan, tmp_path)
    done = export(tmp_path, to, unit=unit)
    assert done.path == tmp_path / f"{unit or 'backbone'}-{to}{next(iter(FORMATS[to]))}"
    run, facts = READERS[to](done.path, plan, unit)
    own = Predictor(session.model, plan.by_unit[unit] if unit else None)
    for count in (1, 5):
        images = noise(plan, count)
        torch.testing.assert_close(run(images), own(images), rtol=1e-5, atol=1e-5)
    assert {name: json.loads(facts[name]) for name in ("channels", "height", "width", "mean", "std", "classes")} == {
        "channels": 1, "height": 8, "width": 8, "mean": [0.5], "std": [0.5], "classes": 4
    }  # fmt: skip
    assert facts["network"] == (unit or "backbone")
    assert facts["plan_fingerprint"] == plan.fingerprint
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o666 & ~_umask()
    says_nothing_of_the_machine(done.path)


def says_nothing_of_the_machine(path: Path) -> None:
    """No folder of this machine, no class of Python's; of an archive no part is a pickle."""
    parts = {"": path.read_bytes()}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    for name, part in parts.items():
        assert str(ROOT).encode() not in part, name
        assert b"GraphModule" not in part, name
        assert not part.startswith((b"\x80\x02", b"PK\x03\x04")), name


def _umask() -> int:
    own = os.umask(0)
    os.umask(own)
    return own


def test_the_names_of_the_classes_are_in_the_file(tmp_path: Path) -> None:
    plan = compiled(data={"dataset": "digits", "batch_size": 6})
    saved(plan, tmp_path)
    with safe_open(export(tmp_path, "safetensors").path, framework="pt") as file:
        assert json.loads(file.metadata()["class_names"]) == list(plan.data.class_names)


def test_the_averaged_weights_are_exported_where_there_are_some(tmp_path: Path) -> None:
    spec = document(backbone=SHORT, split={"blocks": 2}, train={"epochs": 1, "weight_average": {"decay": 0.5}})
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    assert specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path).returncode == 0
    assert specc("export", "run", "-o", "net.safetensors", cwd=tmp_path).returncode == 0
    last = max((tmp_path / "run" / "checkpoints").iterdir())
    average, model = (load_file(last / f"{name}.safetensors") for name in ("weight_average", "model"))
    found = load_file(tmp_path / "net.safetensors")
    assert all(torch.equal(found[name], average.get(name, model[name])) for name in found)
    assert not torch.equal(found["stem.conv.weight"], model["stem.conv.weight"])


def test_only_what_is_needed_for_a_network_is_in_its_file(tmp_path: Path) -> None:
    """Of a backbone no head and no average, of an early exit no later block."""
    plan = compiled(**MAN)
    saved(plan, tmp_path)
    backbone = load_file(export(tmp_path, "safetensors").path)
    assert not [name for name in backbone if name.startswith("unit")]
    assert {"stem.conv.weight", "head.fc.weight"} <= set(backbone)
    early = load_file(export(tmp_path, "safetensors", unit="0").path)
    assert {name.split(".")[0] for name in early} == {"stem", "stage1", "unit0"}


def test_the_page_says_what_stands_in_every_file() -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    table = page.partition("| key |")[2].partition("```")[0]
    said = {name for row in table.splitlines() for name in re.findall(r"`([a-z_]+)`", row.partition(" | ")[0])}
    assert said == set(facts(compiled(data={"dataset": "digits", "batch_size": 6}), None, "the end of epoch 1"))
    assert all(f"`{to}`" in page and all(f"`{end}`" in page for end in endings) for to, endings in FORMATS.items())


# ------------------------------------------------------------------------------------------- torchvision

TWINS: dict[str, tuple[int, Document]] = {
    "resnet18": (32, {"family": "resnet", "depth": 18}),
    "mobilenet_v3_small": (32, {"family": "mobilenet_v3", "width": 0.25}),
    "VisionTransformer": (24, VIT),
    "squeezenet1_1": (32, {"torchvision": "squeezenet1_1"}),
}


@pytest.mark.parametrize("name", TWINS)
def test_torchvisions_own_model_takes_the_state_and_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    size, backbone = TWINS[name]
    plan = compiled(**on(backbone, size))
    session = saved(plan, tmp_path)
    path = export(tmp_path, "torchvision", tmp_path / "net.pt").path
    model = THEIRS[name]()
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(noise(plan)), session.predict(noise(plan)), rtol=1e-4, atol=1e-5)


THEIRS: dict[str, Callable[[], Any]] = {
    "resnet18": lambda: models.resnet18(num_classes=10),
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(num_classes=10, width_mult=0.25),
    "VisionTransformer": lambda: models.VisionTransformer(24, 8, 3, 4, 24, 40, num_classes=10),
    "squeezenet1_1": lambda: models.squeezenet1_1(num_classes=10),
}


@pytest.mark.parametrize(
    ("backbone", "why"),
    [
        ({"family": "resnet_cifar", "depth": 14, "widths": [4, 4, 6, 8]}, "it has none of this family"),
        ({"family": "vgg", "depth": 11, "hidden": 16}, "linear layers have a width of 4096, and these of 16"),
        (LAYERS, "made of layers"),
    ],
)
def test_a_backbone_that_torchvision_does_not_have_is_refused_with_the_reason(
    backbone: Document, why: str, tmp_path: Path
) -> None:
    saved(compiled(**on(backbone, 32) | {"split": {"blocks": 1}}), tmp_path)
    with pytest.raises(RunError, match="torchvision has no model of the backbone") as error:
        export(tmp_path, "torchvision")
    assert why in str(error.value)


def test_torchvision_has_no_early_exits(tmp_path: Path) -> None:
    saved(compiled(**on(VIT, 24)), tmp_path)
    with pytest.raises(RunError, match="no early exits"):
        export(tmp_path, "torchvision", unit="0")


# ------------------------------------------------------------------------------------------- the comparison


def test_a_file_with_other_numbers_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight of one layer, as another rule of rounding or a forgotten transposition would do more of."""
    form = FORMATS["safetensors"][".safetensors"]

    def wrong(trained: Trained) -> bytes:
        tensors = trained.tensors
        first = next(iter(tensors))
        tensors[first] = tensors[first] * 1.01
        import safetensors.torch

        return safetensors.torch.save(tensors, trained.facts)

    monkeypatch.setitem(FORMATS["safetensors"], ".safetensors", type(form)(wrong, form.read))
    plan = compiled()
    saved(plan, tmp_path)
    done = specc("export", tmp_path, cwd=tmp_path)
    assert done.returncode == RunError.exit_code
    assert "other logits than the run" in done.stderr
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_file_that_says_another_normalisation_is_not_written() -> None:
    session = Session(compiled())
    form = FORMATS["safetensors"][".safetensors"]
    written = form.write(Trained(session, None, {"mean": "[0.5]"}))
    compared(form, Trained(session, None, {"mean": "[0.5]"}), written)
    with pytest.raises(RunError, match="does not say its mean"):
        compared(form, Trained(session, None, {"mean": "[0.4]"}), written)


def test_a_network_that_diverged_is_not_exported(tmp_path: Path) -> None:
    plan = compiled()
    saved(plan, tmp_path, change=lambda tensors: tensors["head.fc.bias"].data.fill_(torch.nan))
    with pytest.raises(RunError, match="no numbers"):
        export(tmp_path, "safetensors")


def test_without_the_packages_that_onnx_needs_the_command_to_install_them_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> Any:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(graphs, "import_module", absent)
    saved(compiled(), tmp_path)
    with pytest.raises(RunError, match=r"pip install 'specc\[onnx\]'"):
        export(tmp_path, "onnx")


# ------------------------------------------------------------------------------------------- the command


def test_a_run_exported_by_the_command(tmp_path: Path) -> None:
    """Trained with links and heads; the counters of batches come along."""
    (tmp_path / "spec.yaml").write_text(json.dumps(on({"family": "mobilenet_v3", "width": 0.25}, 32, **MAN)))
    assert specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path).returncode == 0
    done = specc("export", "run", "--to", "torchvision", "-o", "net.pth", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote net.pth: backbone" in done.stdout
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    models.mobilenet_v3_small(num_classes=10, width_mult=0.25).load_state_dict(state, strict=True)
    assert state["features.0.1.num_batches_tracked"] == 4


def test_a_unit_is_named_by_its_last_block_where_one_alone_ends_there() -> None:
    plan = compiled(**HPFF)
    assert unit_of(plan, "0").name == "unit0.independent"
    assert unit_of(plan, "unit1.cascade").name == "unit1.cascade"
    with pytest.raises(RunError, match="more than one unit with a classifier ends with block 1"):
        unit_of(plan, "1")
    with pytest.raises(RunError, match="no unit `7`"):
        unit_of(plan, "7")
    with pytest.raises(RunError, match="has no classifier of its own"):
        unit_of(compiled(auxiliary={"reconstruction": {}}), "0")


@pytest.mark.parametrize(
    ("made", "words", "message", "help"),
    [
        (None, [], "is not a run directory", "what `specc run` prints"),
        ("plan", [], "has no checkpoint yet", "specc resume"),
        ("checkpoint", ["-o", "net.onnx"], "is no name for `--to safetensors`", "let it end in .safetensors"),
        ("checkpoint", ["--unit", "nine"], "no unit `nine`", "unit0.independent, unit1.independent"),
        ("damaged", [], "model.safetensors is not as it was written", "start it anew"),
        ("checkpoint", ["--checkpoint", "7"], "has no checkpoint `7`", "there are: last, best, 0"),
        ("checkpoint", ["--checkpoint", "best"], "keeps no best checkpoint", "keep_best"),
        ("other", [], "plan.json has ", "restore it from a backup"),
    ],
)
def test_what_cannot_be_exported(tmp_path: Path, made: str | None, words: list[str], message: str, help: str) -> None:
    run = tmp_path / "run"
    if made:
        saved(compiled(), run, checkpoint=made != "plan")
    if made == "damaged":
        flip(newest(run) / "model.safetensors")
    if made == "other":
        (run / "plan.json").write_text(compiled(backbone={"family": "resnet_cifar", "depth": 20}).to_json())
    done = specc("export", run, *words, cwd=tmp_path)
    assert done.returncode == RunError.exit_code
    assert message in done.stderr
    assert help in done.stderr
    assert not list(run.glob("backbone*"))
