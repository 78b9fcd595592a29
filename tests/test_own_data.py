"""Data sets that a function of the user's own file makes: asked, cached, trained on, and every mistake in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from specc.checking import check_text
from specc.spec.load import loads
from specc.tasks.own import asking, source
from specc.tasks.own.facts import Facts

from .commands import specc
from .documents import Document

DATA = """
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset

with Path(__file__).with_name("called").open("a") as file:
    file.write("x")


class Boxes(Dataset):
    classes = ["dark", "light", "striped"]

    def __init__(self, size=24, height=8, width=12, kind="tensor", **wrong):
        self.size, self.height, self.width, self.kind, self.wrong = size, height, width, kind, wrong

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        if i == self.wrong.get("raises"):
            raise ValueError("no such box")
        label, high = i % 3, self.height + (i == self.wrong.get("larger"))
        image = torch.full((3, high, self.width), 90 * label, dtype=torch.uint8)
        image[:, ::2] += torch.randint(0, 60, (1,), dtype=torch.uint8)
        if i == self.wrong.get("label"):
            label = 7
        if self.kind == "floats":
            return image / 255 - 0.5, label
        if self.kind == "pillow":
            return {"image": Image.fromarray(image.permute(1, 2, 0).numpy()), "label": np.int64(label)}
        if self.kind == "mask":
            return image.permute(1, 2, 0).numpy(), torch.where(image[:1] > 100, 1, 0)
        if self.kind == "labels":
            return image, [1.0, 0.0, float(label == 2)]
        if self.kind == "longs":
            return image.long(), label
        return image, label


def make_datasets(**args):
    train = Boxes(**args)
    return {"train": train, "test": Boxes(size=6)} if train.kind == "tensor" else train


def two(size=24):
    return Boxes(size), Subset(Boxes(9), range(6))


def one(root):
    assert Path(root).name == "there"
    return Boxes(30)


def fails():
    return make_it()


def make_it():
    raise KeyError("boxes")


def nothing():
    return {}


def stream():
    return iter([])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data.py").write_text(DATA, encoding="utf-8")
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def document(function: str = "make_datasets", args: Document | None = None, **data: Any) -> Document:
    section = {"module": f"data.py:{function}", "batch_size": 4, "args": args or {}} | data
    return {
        "specc": 1, "name": "own", "data": section,
        "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]},
        "split": {"blocks": 2}, "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.01}},
    }  # fmt: skip


def written(folder: Path, document: Document) -> Path:
    path = folder / "own.yaml"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def run(folder: Path, document: Document, *words: str) -> Any:
    written(folder, document)
    return specc("run", "own.yaml", "--run-dir", "run", "--device", "cpu", *words, cwd=folder)


def facts_in(folder: Path) -> Facts:
    (path,) = (folder / "cache" / "data").glob("*.json")
    found = source._file().validate_json(path.read_bytes())
    return found.facts


def test_a_first_sample_says_shape_target_sizes_and_class_names(folder: Path) -> None:
    written(folder, document())
    shown = specc("plan", "own.yaml", "--format", "json", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert facts_in(folder) == Facts((3, 8, 12), "bytes", (), True, 24, 6, 0, ("dark", "light", "striped"))


def test_a_run_is_trained_judged_and_shown_with_the_names_of_the_classes(folder: Path) -> None:
    done = run(folder, document())
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "run" / "summary.json").read_text("utf-8"))
    memory = summary["memory"]
    assert memory["measured_peak_bytes"] == pytest.approx(memory["predicted_peak_bytes"], rel=0.02)
    judged = json.loads(specc("evaluate", "run", "--format", "json", cwd=folder).stdout)
    assert [row["class"] for row in judged["classes"]] == ["dark", "light", "striped"]
    assert judged["samples"] == 6


def test_code_is_not_run_unless_somebody_trusts_it_and_once_asked_it_is_planned_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPECC_TRUST_CODE")
    written(folder, document())
    refused = specc("validate", "own.yaml", cwd=folder)
    assert refused.returncode == 1
    assert "error[SPC312]" in refused.stderr + refused.stdout
    assert "`make_datasets`" in refused.stderr + refused.stdout
    assert not (folder / "called").exists()
    assert specc("--trust-code", "validate", "own.yaml", cwd=folder).returncode == 0 or \
        specc("validate", "own.yaml", "--trust-code", cwd=folder).returncode == 0  # fmt: skip
    monkeypatch.delenv("SPECC_TRUST_CODE", raising=False)
    assert specc("plan", "own.yaml", cwd=folder).returncode == 0
    assert (folder / "called").read_text() == "x"
    denied = run(folder, document())
    assert denied.returncode != 0
    assert "nobody said that this code may be run" in denied.stderr
    assert not (folder / "run").exists()
    (folder / "data.py").write_text(DATA + "\n", encoding="utf-8")
    assert specc("plan", "own.yaml", cwd=folder).returncode == 1


def test_a_process_of_its_own_asks_where_torch_is_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_here", [])
    (folder / "own.yaml").write_text(json.dumps(document(args={"height": 5})), encoding="utf-8")
    assert specc("validate", "own.yaml", cwd=folder).returncode == 0
    assert facts_in(folder).shape == (3, 5, 12)
    (folder / "own.yaml").write_text(json.dumps(document("fails")), encoding="utf-8")
    assert "KeyError: 'boxes' (data.py:" in specc("validate", "own.yaml", cwd=folder).stderr


KINDS: dict[str, tuple[Document, Document, tuple[Any, ...]]] = {
    "floats": ({"kind": "floats"}, {}, ((3, 8, 12), "floats", (), True)),
    "pillow": ({"kind": "pillow"}, {}, ((3, 8, 12), "bytes", (), True)),
    "mask": ({"kind": "mask"}, {"task": "segmentation"}, ((3, 8, 12), "bytes", (8, 12), True)),
    "labels": ({"kind": "labels"}, {"task": "multi_label"}, ((3, 8, 12), "bytes", (3,), False)),
}
MAP = [{"name": "stem", "op": "conv_bn_relu", "out": 4}, {"name": "body", "op": "conv_bn_relu", "out": 4},
       {"name": "head", "op": "conv", "out": 3, "k": 1}]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sample_is_trained_on_where_it_has_one_meaning(kind: str, folder: Path) -> None:
    args, task, expected = KINDS[kind]
    changes: Document = {"backbone": {"layers": MAP}, "split": {"blocks": 1}} if kind == "mask" else {}
    done = run(folder, document(args=args) | task | changes)
    assert done.returncode == 0, done.stderr
    facts = facts_in(folder)
    assert (facts.shape, facts.pixels, facts.truth, facts.whole) == expected
    assert "held out to test on" in done.stderr + done.stdout  # one data set alone


def test_two_data_sets_are_to_train_and_to_test_and_a_part_of_one_has_its_class_names(folder: Path) -> None:
    written(folder, document("two"))
    assert specc("validate", "own.yaml", cwd=folder).returncode == 0
    assert (facts_in(folder).test_size, facts_in(folder).class_names) == (6, ("dark", "light", "striped"))


def test_a_function_that_asks_for_the_folder_of_the_data_is_told_it(folder: Path) -> None:
    written(folder, document("one", root="there"))
    assert specc("validate", "own.yaml", cwd=folder).returncode == 0


MISTAKES: dict[str, tuple[Document, str, str]] = {
    "no file": ({"module": "nowhere.py:make"}, "SPC608", "nowhere.py` cannot be read"),
    "no function": ({"module": "data.py:make"}, "SPC608", "has no function or class `make`"),
    "no such form": ({"module": "data"}, "SPC109", "names no function of a file"),
    "raises": ({"module": "data.py:fails"}, "SPC608", "`fails` of data.py raises KeyError: 'boxes' (data.py:"),
    "wrong arguments": ({"args": {"height": "x"}}, "SPC608", "TypeError"),
    "nothing": ({"module": "data.py:nothing"}, "SPC608", "gives no data set to train on"),
    "a stream": ({"module": "data.py:stream"}, "SPC608", "cannot be asked for sample i"),
    "first sample raises": ({"args": {"raises": 0}}, "SPC608",
                            "sample 0 of the training data (`make_datasets` of data.py) raises ValueError: no such box "
                            "(data.py:"),
    "integers": ({"args": {"kind": "longs"}}, "SPC608", "nothing says which number is white"),
    "another task": ({"args": {"kind": "labels"}}, "SPC606", "3 numbers, of which the task learns nothing"),
    "other classes": ({"classes": 4}, "SPC602", "has 3 classes, not 4"),
    "other channels": ({"channels": 1}, "SPC602", "has 3 channels, not 1"),
    "two data sets": ({"dataset": "cifar10"}, "SPC107", "`module` makes the data sets, and `cifar10` is another one"),
    "no module": ({"dataset": "module", "module": None}, "SPC107", "`dataset: module` needs `module`"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_data_is_a_diagnostic_at_its_key(mistake: str, folder: Path) -> None:
    changes, code, text = MISTAKES[mistake]
    found = document()
    found["data"] = {key: value for key, value in (found["data"] | changes).items() if value is not None}
    if found["data"].get("dataset") == "module":
        del found["data"]["args"]
    name = str(written(folder, found))
    (diagnostic,) = [d for d in check_text((folder / "own.yaml").read_text(), name).diagnostics if d.is_error]
    assert diagnostic.code == code
    assert text in diagnostic.message
    assert diagnostic.span is not None
    assert diagnostic.span.line > 1


FIFTH = "sample 5 of the training data (`make_datasets` of data.py)"
LATER: dict[str, tuple[Document, str]] = {
    "raises": ({"raises": 5}, f"{FIFTH} raises ValueError: no such box (data.py:"),
    "label": ({"label": 5}, f"{FIFTH} has the label 7, and labels are 0 to 2"),
    "larger": ({"larger": 5}, "has an image of 9×12 pixels, and was planned to have 8×12"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", LATER)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_later_sample_ends_the_run_with_its_number(mistake: str, workers: int, folder: Path) -> None:
    args, text = LATER[mistake]
    done = run(folder, document(args=args, workers=workers))
    assert done.returncode == 3
    assert text in done.stderr


def test_samples_of_other_sizes_are_brought_to_the_one_that_is_asked_for(folder: Path) -> None:
    done = run(folder, document(args={"larger": 5}, image_size=[10, 14]))
    assert done.returncode == 0, done.stderr


def test_what_the_code_draws_is_the_same_for_the_same_seed_whoever_asks(folder: Path) -> None:
    """Also from worker processes, and of a run that is resumed."""
    rows = []
    for name, workers in (("a", 0), ("b", 2)):
        written(folder, document(workers=workers))
        assert specc("run", "own.yaml", "--run-dir", name, "--device", "cpu", cwd=folder).returncode == 0
        summary = json.loads((folder / name / "summary.json").read_text("utf-8"))
        rows.append((summary["test"], (folder / name / "metrics.csv").read_text().splitlines()[1].split(",")[3:6]))
    assert rows[0] == rows[1]


def test_a_run_goes_on_with_the_code_that_it_began_with_and_no_other(folder: Path) -> None:
    assert run(folder, document()).returncode == 0
    (folder / "data.py").write_text(DATA.replace("90 * label", "80 * label"), encoding="utf-8")
    refused = specc("resume", "run", "train.epochs=2", "--device", "cpu", cwd=folder)
    assert refused.returncode == 3
    assert "the code that makes the data is not what the run began with" in refused.stderr
    (folder / "data.py").write_text(DATA, encoding="utf-8")
    assert specc("resume", "run", "train.epochs=2", "--device", "cpu", cwd=folder).returncode == 0


def test_data_that_changed_since_they_were_asked_are_noticed_before_the_run(folder: Path) -> None:
    text = DATA.replace(
        "    def __len__", "        self.height = int(Path(__file__).with_name('height').read_text())\n    def __len__"
    )
    (folder / "data.py").write_text(text, encoding="utf-8")
    (folder / "height").write_text("8")
    written(folder, document())
    assert specc("validate", "own.yaml", cwd=folder).returncode == 0
    (folder / "height").write_text("10")
    refused = run(folder, document())
    assert refused.returncode != 0
    assert "3×10×12 bytes of the classes dark, light, striped, and not 3×8×12" in refused.stderr
    assert run(folder, document()).returncode == 0


def test_numbers_as_they_are_cannot_be_made_of_a_file(folder: Path) -> None:
    assert run(folder, document(args={"kind": "floats"})).returncode == 0
    from PIL import Image

    Image.new("RGB", (20, 20)).save(folder / "a.png")
    told = specc("predict", "run", "a.png", cwd=folder)
    assert "the samples of this run are what its own code makes of images" in told.stdout + told.stderr


def test_a_spec_with_its_own_code_is_written_out_and_read_again(folder: Path) -> None:
    from specc.spec.dump import dump

    spec = loads(json.dumps(document()))
    assert loads(dump(spec.config)).config == spec.config
