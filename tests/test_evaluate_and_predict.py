"""What a run has learnt: `specc evaluate` on the data it has, `specc predict` on images in files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runtime import Session
from runtime.data import Loader
from runtime.data.loader import Part
from runtime.data.opening import open_data
from runtime.errors import Interrupted, RunError
from runtime.run import checkpoint as checkpoints
from runtime.run.evaluation import evaluated
from runtime.run.rundir import RunDir
from runtime.run.saving import load_model
from runtime.run.trained import explained
from specc.views import Table
from specc.views.trained import evaluation_parts

from . import small_data as small
from .commands import Result, specc
from .documents import HPFF, document
from .test_resume import TINY, rows

HELD = TINY["data"] | {"validation": 6, "samples": 26}
TRAIN = {"epochs": 3, "weight_average": {"decay": 0.5}, "checkpoint": {"keep_last": 1, "keep_best": {"metric": "loss"}}}


def trained(folder: Path, **parts: Any) -> Path:
    """A run of a few steps."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(json.dumps(document(**parts)))
    done = specc("run", "tiny.yaml", "--device", "cpu", "--run-dir", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("run"), **TINY | {"data": HELD}, train=TRAIN)


def documented(*words: str | Path, code: int = 0) -> Any:
    done = specc(*words, "--device", "cpu", "--format", "json", cwd=Path.cwd())
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def session_of(run: Path) -> Session:
    session = Session(RunDir(run).plan(), initialise=False)
    path = checkpoints.newest(run).path
    load_model(session, checkpoints.load_weights(path), path)
    return session


def seen_at_the_end(run: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """All of it, as the network sees it."""
    split = open_data(RunDir(run).plan()).test
    assert split is not None
    return next(Loader(split, len(split), seed=0, train=False).epoch(0))


# ---------------------------------------------------------------------------------------------- evaluate


def test_it_says_what_the_run_said_at_its_end(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    found = documented("evaluate", run)
    assert (found["on"], found["samples"], found["position"]) == ("test", 6, "the end of epoch 3")
    assert found["metrics"] == summary["test"]
    assert found["units"] == summary["units"]["test"]
    assert len(found["units"]) == 2


def test_it_can_be_asked_of_every_part(run: Path) -> None:
    found = documented("evaluate", run, "--on", "validation")
    last = rows(run)[-1]
    figures = found["metrics"] | found["units"]
    assert {f"val_{name}": f"{value}" for name, value in figures.items()} == {
        k: v for k, v in last.items() if "val_" in k
    }
    assert documented("evaluate", run, "--on", "train")["samples"] == 20


def test_every_class_is_told_of(run: Path, tmp_path: Path) -> None:
    table = tmp_path / "confusion.csv"
    found = documented("evaluate", run, "--confusion", table)
    images, labels = seen_at_the_end(run)
    told = session_of(run).predict(images).argmax(1)
    matrix = [[int(((labels == i) & (told == j)).sum()) for j in range(4)] for i in range(4)]
    head, *lines = csv.reader(table.read_text().splitlines())
    assert head == ["is / told", "0", "1", "2", "3"]
    assert [[int(cell) for cell in line[1:]] for line in lines] == matrix
    for i, row in enumerate(found["classes"]):
        hits, there, said = matrix[i][i], sum(matrix[i]), sum(line[i] for line in matrix)
        assert (row["class"], row["samples"]) == (str(i), there)
        assert row["accuracy"] == (hits / there if there else None)
        assert row["precision"] == (hits / said if said else None)


def test_the_best_checkpoint_is_another_one(tmp_path: Path) -> None:
    """With a learning rate at which later epochs are worse."""
    run = trained(tmp_path, **TINY | {"data": HELD}, train=TRAIN | {"optimizer": {"name": "sgd", "lr": 0.5}})
    losses = [float(row["val_loss"]) for row in rows(run)]
    best = losses.index(min(losses)) + 1
    assert best < 3, "or this test shows nothing"
    for words in (("--checkpoint", "best"), ("--checkpoint", str(3 * best))):
        found = documented("evaluate", run, "--on", "validation", *words)
        assert found["position"] == f"the end of epoch {best}"
        assert found["metrics"]["loss"] == min(losses)


def test_people_read_a_table(run: Path) -> None:
    done = specc("evaluate", run, "--device", "cpu", cwd=run)
    first, second, *_ = done.stdout.splitlines()
    assert first == "checkpoint 000000009 of tiny (the end of epoch 3), on the test set"
    accuracy = json.loads((run / "summary.json").read_text())["test"]["accuracy"]
    assert second.startswith(f"accuracy {accuracy:.2%}, loss ")
    assert f"unit1.independent\t{accuracy:.2%}" in done.stdout
    assert "class\tsamples\taccuracy\tprecision" in done.stdout


def test_of_many_classes_people_are_shown_the_worst() -> None:
    classes = [{"class": f"c{i}", "samples": 1, "accuracy": i / 100, "precision": None} for i in range(99, -1, -1)]
    whole = {
        "checkpoint": "1",
        "name": "x",
        "position": "there",
        "on": "test",
        "samples": 1,
        "metrics": {},
        "units": {},
    }
    *_, table, last = evaluation_parts(whole | {"classes": classes})
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows][:2] == ["c0", "c1"]
    assert last == "the worst 40 of 100 classes; all of them: --format json"


def test_several_labels_have_an_average_precision_each(tmp_path: Path) -> None:
    from sklearn.metrics import average_precision_score

    data = TINY["data"] | {"samples": 40}
    run = trained(tmp_path, **TINY | {"data": data}, task="multi_label")
    found = documented("evaluate", run)
    assert found["metrics"] == json.loads((run / "summary.json").read_text())["test"]
    images, labels = seen_at_the_end(run)
    expected = average_precision_score(labels, session_of(run).predict(images), average=None)
    assert [row["average_precision"] for row in found["classes"]] == pytest.approx(expected.tolist(), abs=1e-9)
    assert [row["samples"] for row in found["classes"]] == labels.sum(0).int().tolist()
    refused = specc("evaluate", run, "--confusion", "c.csv", cwd=tmp_path)
    assert refused.returncode == 3
    assert "the task `multi_label` has no confusion matrix" in refused.stderr
    assert not (tmp_path / "c.csv").exists()
    picture(images[0], tmp_path / "0.png")
    (told,) = documented("predict", run, tmp_path / "0.png", "--top", "4")["images"]
    probabilities = session_of(run).predict(images[:1])[0].sigmoid().sort(descending=True).values
    assert [entry["probability"] for entry in told["classes"]] == pytest.approx(probabilities.tolist())


def test_pixels_are_told_class_by_class(tmp_path: Path) -> None:
    layers = [
        {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "b", "op": "conv_bn_relu", "out": 4},
        {"name": "score", "op": "conv", "out": 4, "k": 1, "bias": True},
    ]  # fmt: skip
    parts = {"backbone": {"layers": layers}, "split": {"after": ["a"]}, "auxiliary": {"classifier": {"layers": "0c1f"}}}
    run = trained(tmp_path, **TINY | parts, task="segmentation")
    found = documented("evaluate", run, "--confusion", tmp_path / "c.csv")
    assert found["metrics"] == json.loads((run / "summary.json").read_text())["test"]
    there = [row["iou"] for row in found["classes"] if row["iou"] is not None]
    assert sum(there) / len(there) == pytest.approx(found["metrics"]["mean_iou"], abs=1e-6)
    counts = [[int(cell) for cell in line.split(",")[1:]] for line in (tmp_path / "c.csv").read_text().splitlines()[1:]]
    assert [sum(line) for line in counts] == [row["pixels"] for row in found["classes"]]
    images, _ = seen_at_the_end(run)
    picture(images[1], tmp_path / "1.png")
    (told,) = documented("predict", run, tmp_path / "1.png")["images"]
    pixels = session_of(run).predict(images[1:2]).argmax(1)
    first = told["classes"][0]
    assert first["part"] == pytest.approx(float((pixels == int(first["class"])).float().mean()))


# ---------------------------------------------------------------------------------------------- predict


def picture(image: torch.Tensor, path: Path) -> Path:
    """A file of a normalised grey image."""
    Image.fromarray(((image[0] * 0.5 + 0.5) * 255).round().byte().numpy()).save(path)
    return path


def test_a_file_is_told_as_the_same_image_in_the_data_set(run: Path, tmp_path: Path) -> None:
    images, _ = seen_at_the_end(run)
    paths = [picture(image, tmp_path / f"{i}.png") for i, image in enumerate(images)]
    found = documented("predict", run, *paths, "--top", "4")["images"]
    expected = session_of(run).predict(images).softmax(1)
    assert [each["image"] for each in found] == [str(path) for path in paths]
    for each, row in zip(found, expected, strict=True):
        told = {int(entry["class"]): entry["probability"] for entry in each["classes"]}
        assert [told[i] for i in range(4)] == pytest.approx(row.tolist(), abs=1e-6)
        assert each["classes"] == sorted(each["classes"], key=lambda entry: -entry["probability"])


def folder_run(tmp_path: Path) -> Path:
    """Two classes that can be told apart: dark and light, in several formats and sizes."""
    generator = np.random.default_rng(0)
    for half in ("train", "val"):
        for name, value in (("dark", 40), ("light", 210)):
            (tmp_path / "pics" / half / name).mkdir(parents=True)
            for i in range(8):
                pixels = np.clip(generator.normal(value, 20, (14 + i, 20 - i, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pics" / half / name / f"{i}.{'png' if i % 2 else 'jpg'}")
    layers = [*TINY["backbone"]["layers"][:-1], {"name": "head", "op": "linear", "out": 2}]
    data = {"dataset": "image_folder", "root": "pics", "image_size": 8, "batch_size": 4}
    return trained(tmp_path, data=data, backbone={"layers": layers}, split={"after": ["drop"]}, train={"epochs": 4})


def test_folders_are_told_by_the_names_of_their_classes(tmp_path: Path) -> None:
    run = folder_run(tmp_path)
    found = documented("evaluate", run)
    assert [row["class"] for row in found["classes"]] == ["dark", "light"]
    told = documented("predict", run, tmp_path / "pics" / "val", "--top", "1")["images"]
    assert len(told) == 16
    right = [Path(each["image"]).parent.name == each["classes"][0]["class"] for each in told]
    assert sum(right) / 16 == found["metrics"]["accuracy"] > 0.8, "cropped and normalised as in the evaluation"
    (tmp_path / "pics").rename(tmp_path / "away")
    gone = specc("evaluate", run, "--device", "cpu", cwd=tmp_path)
    assert (gone.returncode, "the data set `image_folder` is not there" in gone.stderr) == (3, True)
    assert (
        documented("predict", run, tmp_path / "away" / "val", "--top", "1")["images"][3]["classes"]
        == told[3]["classes"]
    )


def test_what_cannot_be_read_is_named_and_the_others_are_told(run: Path, tmp_path: Path) -> None:
    images, _ = seen_at_the_end(run)
    good = [picture(images[i], tmp_path / f"{i}.png") for i in range(2)]
    (tmp_path / "torn.png").write_bytes(good[0].read_bytes()[:60])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "nothing").mkdir()
    names = ["0.png", "torn.png", "missing.png", "text.png", "nothing", "1.png"]
    done = specc("predict", run, *names, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 3
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["0.png", "1.png"]
    errors = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [error.split()[0] for error in errors] == ["torn.png", "missing.png", "text.png", "nothing"]
    assert errors[1:] == ["missing.png is not there",
                          "text.png cannot be decoded: it is no image of a format that Pillow reads",
                          "nothing has no images in it"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        found = documented("predict", run, *names, code=3)["images"]
    assert ["error" in each for each in found] == [False, True, True, True, True, False]


def test_people_read_a_line_an_image(run: Path, tmp_path: Path) -> None:
    picture(seen_at_the_end(run)[0][0], tmp_path / "0.png")
    done = specc("predict", run, "0.png", "--top", "2", "--device", "cpu", cwd=tmp_path)
    (told,) = documented("predict", run, tmp_path / "0.png", "--top", "2")["images"]
    first, second = ((entry["class"], entry["probability"]) for entry in told["classes"])
    assert done.stdout == f"0.png: {first[0]} {first[1]:.2%}, {second[0]} {second[1]:.2%}\n"


def test_images_of_a_known_size_are_brought_to_it_first(tmp_path: Path) -> None:
    """As the data set's own are, which are resized from there."""
    small.put(tmp_path / "data", small.mnist(train=12, test=3))
    data = {"dataset": "mnist", "root": "data", "image_size": 8, "batch_size": 6}
    layers = [*TINY["backbone"]["layers"][:-1], {"name": "head", "op": "linear", "out": 10}]
    run = trained(tmp_path, **TINY | {"data": data, "backbone": {"layers": layers}})
    native = small.pixels(3, 28, 28)[2]
    Image.fromarray(native).save(tmp_path / "native.png")
    Image.fromarray(native.repeat(3, 0).repeat(3, 1)).convert("RGB").save(tmp_path / "large.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        images, _ = seen_at_the_end(run)
        expected = session_of(run).predict(images)[2].softmax(0).sort(descending=True).values
        found = documented("predict", run, "native.png", "large.png", "--top", "10")["images"]
    for each, tolerance in zip(found, (1e-6, 1e-2), strict=True):
        assert [entry["probability"] for entry in each["classes"]] == pytest.approx(expected.tolist(), abs=tolerance)


# ---------------------------------------------------------------------------------------------- what may be wrong


def asked(command: str, run: Path) -> Result:
    images = (run / "no.png",) if command == "predict" else ()
    return specc(command, run, *images, "--device", "cpu", cwd=run.parent)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_damaged_run_is_an_error_that_says_so(command: str, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (model,) = copy.glob("checkpoints/*9/model.safetensors")
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    for other in copy.glob("checkpoints/*[!9]"):
        shutil.rmtree(other)
    done = asked(command, copy)
    assert (done.returncode, done.stdout) == (3, "")
    assert "is whole: 000000009: model.safetensors" in done.stderr
    model.write_bytes(whole)
    plan = (copy / "plan.json").read_text()
    for text in (plan[:-9], plan.replace('"validation": 6', '"validation": 5', 1)):
        (copy / "plan.json").write_text(text)
        done = asked(command, copy)
        assert (done.returncode, done.stdout) == (3, "")
        assert "plan.json" in done.stderr
    (copy / "plan.json").unlink()
    assert asked(command, copy).returncode == 3


def test_the_checkpoint_of_another_run_is_no_answer(run: Path, tmp_path: Path) -> None:
    other = trained(tmp_path, **TINY | {"data": HELD | {"validation": 5}}, train=TRAIN)
    shutil.rmtree(other / "checkpoints")
    shutil.copytree(run / "checkpoints", other / "checkpoints")
    done = asked("evaluate", other)
    assert done.returncode == 3
    assert "belongs to another plan" in done.stderr


def test_a_run_that_went_on_with_more_epochs_is_asked_of_earlier_ones_too(tmp_path: Path) -> None:
    run = trained(tmp_path, **TINY, train={"epochs": 1})
    assert specc("resume", run, "train.epochs=2", "--device", "cpu", cwd=tmp_path).returncode == 0
    for steps, epoch in ((3, 1), (6, 2)):
        found = documented("evaluate", run, "--checkpoint", str(steps))
        assert found["position"] == f"the end of epoch {epoch}"
        assert f"{found['metrics']['loss']}" == rows(run)[epoch - 1]["test_loss"]


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_weights_that_are_no_numbers_are_no_answer(command: str, run: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    whole = checkpoints.load_weights

    def spoiled(path: Path) -> dict[str, torch.Tensor]:
        return {
            name: tensor * torch.nan if tensor.is_floating_point() else tensor for name, tensor in whole(path).items()
        }

    monkeypatch.setattr(checkpoints, "load_weights", spoiled)
    image = picture(seen_at_the_end(run)[0][0], tmp_path / "0.png")
    done = specc(command, run, *((image,) if command == "predict" else ()), "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 3
    assert "the network of `tiny` gives outputs that are no numbers" in done.stderr


def test_wrong_command_lines_are_refused(run: Path) -> None:
    for words in (("predict", run), ("evaluate", run, "--gpu", "0", "--device", "cpu"), ("evaluate",),
                  ("predict", run, "a.png", "--top", "0"), ("evaluate", run, "--on", "moon")):  # fmt: skip
        assert specc(*words, cwd=run).returncode == 2
    assert "has no checkpoint `4`" in specc("evaluate", run, "--checkpoint", "4", cwd=run).stderr
    assert specc("evaluate", run, "--confusion", "no/folder/c.csv", "--device", "cpu", cwd=run).returncode == 3


def test_whoever_interrupts_it_is_told_so() -> None:
    with pytest.raises(Interrupted, match="nothing was changed"), explained():
        raise KeyboardInterrupt
    with pytest.raises(RunError, match="out of memory"), explained():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
    with pytest.raises(RuntimeError, match="another"), explained():
        raise RuntimeError("another")


def test_units_are_told_where_there_are_several_levels(tmp_path: Path) -> None:
    run = trained(tmp_path, **HPFF)
    found = documented("evaluate", run)
    session, (images, labels) = session_of(run), seen_at_the_end(run)
    assert found["units"] == evaluated(session, [Part((images, labels), len(labels))], units=True).units
    assert len(found["units"]) == 7
