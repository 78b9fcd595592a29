"""`weights`: a backbone begins with the numbers of a file, or the spec is told at the key what does not match."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import specc
from runtime import Session
from runtime.errors import RunError
from runtime.run.checkpoint import newest
from runtime.trace.networks import make
from specc.checking import check_text
from specc.diagnostics import Diagnostic
from specc.graph.families import Foreign
from specc.plan import Plan

from .commands import specc as command
from .documents import compiled, document


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The weights of the small network of the tests, drawn from another seed."""
    path = tmp_path / "model.safetensors"
    save_file(state(), path)
    return path


def state(**parts: Any) -> dict[str, Tensor]:
    tensors = Session(compiled(train={"seed": 5}, **parts)).model.tensors()
    own = {name: t.detach().clone() for name, t in tensors.items() if not name.startswith("unit")}
    own["stem.bn.running_mean"] += 3
    return own


def findings(weights: Any, **parts: Any) -> tuple[Diagnostic, ...]:
    return check_text(json.dumps(document(weights=weights, **parts))).diagnostics


def begun(plan: Plan) -> dict[str, Tensor]:
    session = Session(plan)
    return dict(session.named_parameters()) | dict(session.named_buffers())


def test_a_backbone_begins_with_the_file_and_heads_begin_anew(file: Path) -> None:
    got, plain = begun(compiled(weights=str(file))), begun(compiled())
    want = state()
    assert all(torch.equal(got[name], tensor) for name, tensor in want.items())
    assert all(torch.equal(got[name], plain[name]) for name in got if name.startswith("unit"))
    assert not torch.equal(plain["stem.conv.weight"], got["stem.conv.weight"])


def test_links_that_copy_begin_with_the_loaded_weights(file: Path) -> None:
    links = [{"from": "next", "init": "copy"}]
    got = begun(compiled(weights=str(file), ema_links=links))
    assert torch.equal(got["unit0.independent.ema.conv1.weight"], state()["stage1.1.conv1.weight"])


def test_the_file_is_a_part_of_the_runs_fingerprint_and_its_place_is_not(file: Path, tmp_path: Path) -> None:
    same = tmp_path / "elsewhere.safetensors"
    same.write_bytes(file.read_bytes())
    plan, moved = compiled(weights=str(file)), compiled(weights=str(same))
    assert plan.fingerprint == moved.fingerprint != compiled().fingerprint
    save_file({name: t + 1 for name, t in state().items()}, same)
    assert compiled(weights=str(same)).fingerprint != plan.fingerprint
    with pytest.raises(RunError, match="has changed since the plan was made"):
        Session(moved)
    assert Plan.from_json(plan.to_json()) == plan


def test_numbers_that_come_from_a_checkpoint_need_no_file(file: Path) -> None:
    plan = compiled(weights=str(file))
    file.unlink()
    Session(plan, load=False)
    Session(plan, initialise=False)
    with pytest.raises(RunError, match="cannot be read"):
        Session(plan)


def test_what_does_not_match_is_listed_at_the_key(file: Path) -> None:
    other = state()
    del other["stage2.0.conv1.weight"]
    other["head.fc.bias"], other["more"] = torch.zeros(7), torch.zeros(2, 3)
    save_file(other, file)
    text = json.dumps(document(weights=str(file)), indent=1)
    (error,) = check_text(text).diagnostics
    assert (error.code, error.is_error) == ("SPC624", True)
    assert error.help[:3] == (
        "of another shape: `head.fc.bias` (4, in the file 7)",
        "not in the file: `stage2.0.conv1.weight` (6×4×3×3)",
        "not in the network: `more` (2×3)",
    )
    assert error.span is not None
    assert text.splitlines()[error.span.line - 1].strip().startswith('"weights"')


def test_running_statistics_are_needed_and_counters_are_not(file: Path) -> None:
    save_file({name: t for name, t in state().items() if not name.endswith("num_batches_tracked")}, file)
    assert findings(str(file)) == ()
    save_file({name: t for name, t in state().items() if name != "stem.bn.running_var"}, file)
    (error,) = findings(str(file))
    assert error.help[0] == "not in the file: `stem.bn.running_var` (4)"


def test_integers_are_no_weights(file: Path) -> None:
    save_file(state() | {"head.fc.bias": torch.zeros(4, dtype=torch.int32)}, file)
    (error,) = findings(str(file))
    assert error.help[0] == "of another shape: `head.fc.bias` (4, in the file 4)"


def test_what_does_not_match_begins_anew_where_that_is_right(file: Path) -> None:
    classes = {"data": document()["data"] | {"classes": 3}}
    own = {"file": str(file), "strict": False}
    (warning,) = findings(own, **classes)
    assert (warning.code, warning.is_error) == ("SPC624", False)
    assert warning.message == "2 tensors of the backbone begin anew"
    got, plain = begun(compiled(weights=own, **classes)), begun(compiled(**classes))
    assert torch.equal(got["stem.conv.weight"], state()["stem.conv.weight"])
    assert torch.equal(got["head.fc.weight"], plain["head.fc.weight"])


def test_a_prefix_of_all_names_is_seen_and_left_out(file: Path) -> None:
    save_file({f"module.{name}": tensor for name, tensor in state().items()}, file)
    (error,) = findings(str(file))
    assert (error.code, error.help[-1]) == ("SPC624", "with `prefix: module.` names match")
    got = begun(compiled(weights={"file": str(file), "prefix": "module."}))
    assert torch.equal(got["stem.conv.weight"], state()["stem.conv.weight"])


def test_checkpoints_of_specc_lend_their_backbone(file: Path) -> None:
    tensors = {name: t.detach() for name, t in Session(compiled(train={"seed": 5})).model.tensors().items()}
    save_file(tensors, file)
    (note,) = findings(str(file))
    assert (note.code, note.is_error) == ("SPC625", False)
    got = begun(compiled(weights=str(file)))
    assert torch.equal(got["stem.conv.weight"], tensors["stem.conv.weight"])


def test_a_file_that_is_not_there_is_named_in_full(file: Path) -> None:
    (error,) = findings(str(file.parent / "modell.safetensors"))
    assert error.code == "SPC623"
    assert error.message == f"the file of weights {file.parent / 'modell.safetensors'} is not there"
    assert error.help == ("in that folder: model.safetensors",)
    file.write_bytes(b"\x08\0\0\0\0\0\0\0[1, 2,3]")
    (error,) = findings(str(file))
    assert error.message == f"{file} is no safetensors file: its header cannot be read"
    (error,) = findings({"file": str(file), "sha256": "0" * 64})
    assert (error.code, error.label) == ("SPC623", "not of this file")


def sharded(folder: Path, tensors: dict[str, Tensor], count: int = 3) -> Path:
    """The index of as many files, as Hugging Face's library writes them."""
    files = [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    places = {name: files[i % count] for i, name in enumerate(tensors)}
    for file in files:
        save_file({name: t for name, t in tensors.items() if places[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


def test_a_backbone_begins_with_all_files_of_an_index(tmp_path: Path) -> None:
    index = sharded(tmp_path, state())
    plan = compiled(weights=str(index))
    got = begun(plan)
    assert all(torch.equal(got[name], tensor) for name, tensor in state().items())
    sharded(tmp_path, {name: t + (name == "head.fc.bias") for name, t in state().items()})
    with pytest.raises(RunError, match="has changed since the plan was made"):
        Session(plan)


def test_what_is_wrong_with_the_files_of_an_index_is_said_at_the_key(tmp_path: Path) -> None:
    index = sharded(tmp_path, {name: t for name, t in state().items() if name != "head.fc.bias"})
    (error,) = findings(str(index))
    assert (error.code, error.help[0]) == ("SPC624", "not in the file: `head.fc.bias` (4)")
    second = tmp_path / "model-00002-of-00003.safetensors"
    held = load_file(second)
    save_file({f"{name}_": t for name, t in held.items()}, second)
    (error,) = findings(str(index))
    assert error.message.endswith(f"{second.name} has `{min(held)}_`, which the index does not say")
    save_file({name: t for name, t in held.items() if name != min(held)}, second)
    (error,) = findings(str(index))
    assert error.message.endswith(f"{second.name} lacks `{min(held)}`, and the index says so")
    second.unlink()
    text = json.dumps(document(weights={"file": str(index)}), indent=1)
    (error,) = check_text(text).diagnostics
    assert error.message == f"{index} is an index of 3 files, of which 1 is not there: {second.name}"
    assert error.span is not None
    assert text.splitlines()[error.span.line - 1].strip().startswith('"weights"')
    (warning,) = findings({"file": str(index), "sha256": "0" * 64})
    assert (warning.is_error, warning.help[0]) == (False, "a run that goes on needs it no more, one that begins does")


@pytest.mark.parametrize("said", ["[]", "{", '{"weight_map": [["a", "b.safetensors"]]}', '{"weight_map": 3}'])
def test_what_is_no_index_is_refused(tmp_path: Path, said: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(said)
    (error,) = findings(str(index))
    assert error.message == f"{index} is no index of safetensors files: it has no `weight_map`"


@pytest.mark.parametrize("place", ["../model.safetensors", "/etc/model.safetensors", "pytorch_model-1.bin", 3])
def test_an_index_names_safetensors_files_beside_it(tmp_path: Path, place: object) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"stem.conv.weight": place}}))
    (error,) = findings(str(index))
    assert error.message == f"{index} names {place!r}, which is no safetensors file beside it"


def test_the_files_of_a_folder_are_named(tmp_path: Path) -> None:
    index = sharded(tmp_path, state(), count=1)
    (error,) = findings(str(tmp_path))
    assert error.message == f"the file of weights {tmp_path} is a folder"
    assert error.help == (f"in that folder: model-00001-of-00001.safetensors, {index.name}",)


def test_a_path_is_as_seen_from_the_spec(file: Path) -> None:
    spec = file.parent / "spec.yaml"
    spec.write_text(json.dumps(document(weights="model.safetensors")))
    weights: Any = specc.compile(spec).config.weights
    assert weights.file == str(file)


def test_a_state_of_torchs_is_loaded_and_its_list_is_told_when_the_run_begins(file: Path) -> None:
    path = file.with_suffix(".pth")
    torch.save({"state_dict": state()}, path)
    got = begun(compiled(weights=str(path)))
    assert torch.equal(got["stem.bn.running_mean"], state()["stem.bn.running_mean"])
    torch.save({name: t for name, t in state().items() if name != "head.fc.bias"}, path)
    with pytest.raises(RunError, match="is not of this backbone") as raised:
        Session(compiled(weights=str(path)))
    assert raised.value.help[0] == "not in the file: `head.fc.bias` (4)"
    Session(compiled(weights={"file": str(path), "strict": False}))
    path.write_bytes(b"no weights")
    with pytest.raises(RunError, match="is no file of weights"):
        Session(compiled(weights=str(path)))


COLOUR = {"dataset": "synthetic", "image_size": 32, "channels": 3, "classes": 5, "samples": 8, "batch_size": 4}


def in_colour(backbone: Any, **parts: Any) -> dict[str, Any]:
    return {"backbone": backbone, "data": COLOUR, "split": {"blocks": 2}, **parts}


def of_module(backbone: Any) -> dict[str, Tensor]:
    """The state of the network itself, under the names that it has there."""
    plan = compiled(**in_colour(backbone))
    torch.manual_seed(9)
    own: Any = plan.config.backbone
    found: dict[str, Tensor] = make(own.source(plan.data.shape, plan.data.classes)).state_dict()
    return found


@pytest.mark.parametrize("name", ["resnet10t", "test_vit"])
def test_weights_of_timm_out_of_its_cache(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = {"timm": name, "args": {"img_size": 32} if "vit" in name else {}}
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (error,) = findings("pretrained", **in_colour(backbone))
    assert error.code == "SPC623"
    assert f"looked for {tmp_path}/models--timm--{name}.*" in error.message
    folder = tmp_path / f"models--timm--{name}.c3_in1k" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    want = of_module(backbone)
    save_file({key: tensor.contiguous() for key, tensor in want.items()}, folder / "model.safetensors")
    plan = compiled(weights="pretrained", **in_colour(backbone))
    assert isinstance(plan.config.backbone, Foreign)
    assert sorted(p.double().sum().item() for p in begun(plan).values() if p.dim() > 1) == sorted(
        [t.double().sum().item() for t in want.values() if t.dim() > 1]
        + [p.double().sum().item() for n, p in begun(plan).items() if p.dim() > 1 and n.startswith("unit")]
    )


def test_weights_of_torchvision_out_of_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.models as models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    parts = in_colour({"torchvision": "resnet18"})
    (error,) = findings({"torchvision": "IMAGENET1K_V1"}, **parts)
    path = tmp_path / "hub" / "checkpoints" / models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    assert f"looked for {path}" in error.message
    (error,) = findings({"torchvision": "IMAGENET1K_V9"}, **parts)
    assert error.message == "torchvision has no weights `IMAGENET1K_V9` of `resnet18`"
    path.parent.mkdir(parents=True)
    torch.manual_seed(3)
    want = models.resnet18(num_classes=5).state_dict()
    torch.save(want, path)
    got = begun(compiled(weights="pretrained", **parts))
    assert all(torch.equal(got[name], tensor) for name, tensor in want.items())


def test_published_weights_are_of_published_networks() -> None:
    (error,) = findings("pretrained")
    assert (error.code, error.help) == ("SPC623", ("name a file: `weights: model.safetensors`",))


def test_a_run_that_goes_on_needs_the_file_no_more(file: Path) -> None:
    folder = file.parent
    data = {**document()["data"], "batch_size": 8}
    text = json.dumps(document(weights=str(file), data=data, train={"epochs": 1, "freeze": ["stem"]}))
    (folder / "spec.yaml").write_text(text)
    done = command("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    began = load_file(newest(folder / "run").path / "model.safetensors")
    assert torch.equal(began["stem.conv.weight"], state()["stem.conv.weight"])
    file.unlink()
    done = command("resume", "run", "train.epochs=2", "--device", "cpu", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "a run that goes on needs it no more" in done.stderr
    went_on = load_file(newest(folder / "run").path / "model.safetensors")
    assert torch.equal(went_on["stem.conv.weight"], began["stem.conv.weight"])
