"""What classes are called: known of every data set, and kept with the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.data import open_dataset
from runtime.run.rundir import RunDir
from specc.plan import Plan
from specc.tasks.datasets import INFO

from . import small_data as small
from .commands import specc
from .documents import compiled, document


@pytest.mark.parametrize("name", [name for name, info in INFO.own.items() if info.classes and name != "imagenet"])
def test_every_class_of_a_published_data_set_has_a_name(name: str) -> None:
    info = INFO[name].resolved(image_size=32, target=INFO[name].targets[0])
    assert len(set(info.class_names)) == info.classes


def test_classes_are_called_as_their_folders_are(tmp_path: Path) -> None:
    info = open_dataset(small.config("image_folder", small.put(tmp_path, small.image_folder()))).info
    assert info.class_names == ("cat", "dog")
    assert info.class_name(1) == "dog"


def test_labels_are_called_as_the_list_calls_them(tmp_path: Path) -> None:
    info = open_dataset(small.config("label_folder", small.put(tmp_path, small.label_folder()))).info
    assert info.class_names == ("ant", "cat", "dog", "fox", "owl")


def test_a_class_without_a_name_goes_by_its_number() -> None:
    assert compiled().data.class_name(3) == "3"


def test_a_run_keeps_the_names_that_its_data_set_had(tmp_path: Path) -> None:
    root = small.put(tmp_path / "images", small.image_folder())
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "classes": 2, "batch_size": 4}
    (tmp_path / "spec.yaml").write_text(json.dumps(document(data=data, train={"epochs": 1})))
    result = specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert RunDir(tmp_path / "run").plan().data.class_names == ("cat", "dog")


def test_names_are_in_no_fingerprint_and_fit_the_classes() -> None:
    plan = compiled()
    named = replace(plan, data=replace(plan.data, class_names=tuple("abcd")))
    assert named.fingerprint == plan.fingerprint
    assert Plan.from_json(named.to_json()) == named
    with pytest.raises(ValueError, match="3 names for 4 classes"):
        Plan.from_json(named.to_json().replace('"class_names": ["a", ', '"class_names": ['))


def test_samples_have_the_names_of_their_files_wherever_these_lie(tmp_path: Path) -> None:
    splits = open_dataset(small.config("image_folder", small.put(tmp_path, small.image_folder())))
    assert splits.train.names == [f"train/{name}" for name in ("cat/0.png", "cat/1.jpg", "dog/0.png", "dog/1.jpg")]
