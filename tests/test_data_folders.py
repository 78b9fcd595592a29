"""Image folders as people have them: classes are folders, with parts around them or without."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.data import DataError, Splits, open_dataset
from runtime.data.folder import FolderSplit
from runtime.data.held_out import Part
from runtime.run.rundir import RunDir
from specc.checking import Report, check_text
from specc.pipeline import compile_spec
from specc.spec.load import loads

from . import small_data as small
from .commands import specc
from .documents import document

IMAGE = small.png(small.pixels(12, 10, 3))


def put(root: Path, *folders: str, count: int = 10) -> Path:
    return small.put(root, {f"{folder}/{i}.png": IMAGE for folder in folders for i in range(count)})


def opened(root: Path, **options: Any) -> Splits:
    return open_dataset(small.config("image_folder", root, **options))


def text(root: Path, **data: Any) -> str:
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "batch_size": 4} | data
    return json.dumps(document(data=data, train={"epochs": 1}))


def only(report: Report) -> tuple[str, str, tuple[str, ...]]:
    (found,) = report.diagnostics
    return found.code, found.message, found.help


# --- layouts ---


def names_of(split: object) -> list[str]:
    if isinstance(split, Part):
        return [names_of(split.whole)[index] for index in split.indices]
    assert isinstance(split, FolderSplit)
    return split.names


def test_class_folders_alone_are_split_by_their_files_names(tmp_path: Path) -> None:
    splits = opened(put(tmp_path, "cat", "dog"), validation=0.2)
    assert (len(splits.train), len(splits.validation or ()), splits.test) == (16, 4, None)
    assert splits.info.class_names == ("cat", "dog")
    assert "there is no test folder: nothing is tested on but what is kept for validation" in splits.remarks


def test_without_a_word_on_validation_a_tenth_is_tested_on_and_said_so(tmp_path: Path) -> None:
    splits = opened(put(tmp_path, "cat", "dog"))
    assert (len(splits.train), len(splits.test or ()), splits.validation) == (18, 2, None)
    assert {name.split("/")[0] for name in names_of(splits.test)} == {"cat", "dog"}
    assert not set(names_of(splits.test)) & set(names_of(splits.train))
    (remark,) = splits.remarks
    assert "2 of 20 images are held out to test on" in remark
    again = opened(put(tmp_path / "elsewhere", "cat", "dog"))
    assert names_of(again.test) == names_of(splits.test)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_folder_for_validation_may_have_any_of_its_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/cat", f"{name}/dog", count=2)
    put(tmp_path, "test/cat", "test/dog", count=3)
    splits = opened(put(tmp_path, "train/cat", "train/dog"))
    assert [len(part or ()) for part in (splits.train, splits.validation, splits.test)] == [20, 4, 6]
    with pytest.raises(DataError, match="comes with images for validation"):
        opened(tmp_path, validation=0.1)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_the_only_other_part_is_tested_on(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/cat", f"{name}/dog", count=2)
    splits = opened(put(tmp_path, "train/cat", "train/dog"))
    assert (len(splits.train), splits.validation, len(splits.test or ())) == (20, None, 4)
    assert len(opened(tmp_path, validation=0.1).validation or ()) == 2


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert opened(put(tmp_path, "car", "train")).info.class_names == ("car", "train")


def test_parts_with_other_names_are_not_taken_for_classes(tmp_path: Path) -> None:
    put(tmp_path, "Training/cat", "Training/dog", "Testing/cat", "Testing/dog")
    with pytest.raises(DataError, match=r"has Testing/, Training/ with folders in it, but no train/") as caught:
        opened(tmp_path)
    assert caught.value.help == ("call the folders train/, val/ and test/",)


def test_two_folders_for_validation_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has val/ and valid/: only one"):
        opened(put(tmp_path, "train/cat", "train/dog", "val/cat", "valid/cat"))


def test_what_lies_beside_the_classes_or_is_hidden_is_left_out_and_said(tmp_path: Path) -> None:
    put(tmp_path, ".ipynb_checkpoints", "cat", "dog")
    small.put(tmp_path, {"loose.png": IMAGE, "README.md": b""})
    remarks = opened(tmp_path, validation=0.1).remarks
    assert any("1 images are left out, as they lie beside" in remark for remark in remarks)
    assert any("1 files are left out" in remark and ".md" in remark for remark in remarks)
    assert any("hide there are left out" in remark and ".ipynb_checkpoints" in remark for remark in remarks)


@pytest.mark.parametrize("dataset", ["label_folder", "mask_folder"])
def test_other_folders_of_ones_own_have_the_same_parts(dataset: str, tmp_path: Path) -> None:
    root = small.put(tmp_path, getattr(small, dataset)())
    (root / "val").rename(root / "validation")
    splits = open_dataset(small.config(dataset, root))
    assert splits.validation is None
    assert splits.test is not None
    (root / "train").rename(tmp_path / "test")
    (root / "validation").rename(tmp_path / "train")
    assert open_dataset(small.config(dataset, root)).test is not None


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.png", "a/../../outside.png"])
def test_a_list_names_no_file_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    listed = f"0.png,cat\n{name},dog\n".encode()
    small.put(tmp_path, small.label_folder() | {"outside.png": IMAGE, "train/labels.csv": listed})
    with pytest.raises(DataError, match=rf"labels\.csv:2 lists `{name}`, which is not in this folder"):
        open_dataset(small.config("label_folder", tmp_path))


# --- classes that nobody has to count ---


def test_a_spec_need_not_say_how_many_classes_there_are(tmp_path: Path) -> None:
    spec = loads(text(put(tmp_path, "cat", "dog", "owl")))
    plan, _ = compile_spec(spec)
    assert (plan.data.classes, plan.data.class_names) == (3, ("cat", "dog", "owl"))
    assert plan.config.data.classes == 3, "the resolved spec needs the folder no more"
    said, _ = compile_spec(loads(text(tmp_path, classes=3)))
    assert said.fingerprint == plan.fingerprint


def test_without_its_folder_a_spec_has_to_say_its_classes(tmp_path: Path) -> None:
    (found,) = check_text(text(tmp_path / "photos")).diagnostics
    assert [label.text for label in found.secondary] == ["the folder"]
    code, message, help = found.code, found.message, found.help
    assert code == "SPC601"
    assert f"the folder in which they would be counted is not there, {tmp_path / 'photos'}" in message
    assert "add `classes:` under `data`" in help
    assert check_text(text(tmp_path / "photos", classes=3)).diagnostics == ()


def test_a_folder_in_the_wrong_place_is_pointed_out_when_a_spec_is_checked(tmp_path: Path) -> None:
    put(tmp_path / "here" / "photos", "cat", "dog")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "spec.yaml").write_text(text(Path("photos")))
    result = specc("validate", "../project/spec.yaml", cwd=tmp_path / "here")
    assert result.returncode == 1
    assert "for the one in the current folder: specc run SPEC data.root=photos" in result.stderr


def test_classes_that_contradict_the_folders_are_an_error_of_the_spec(tmp_path: Path) -> None:
    code, message, _ = only(check_text(text(put(tmp_path, "cat", "dog"), classes=3)))
    assert code == "SPC602"
    assert "should have 3 classes, 2 folders found: cat, dog" in message


@pytest.mark.parametrize(
    ("folders", "match"),
    [
        ((), "has no folders in it"),
        (("cat",), "has one class, `cat`"),
        (("train/cat", "train/dog", "val/cat"), "dog in train/ alone"),
        (("Train/cat", "Train/dog"), "has Train/ with folders in it, but no train/"),
        (("cat", "d\x1bog"), "which no text can hold"),
        (("cat", os.fsdecode(b"d\xffg")), "which no text can hold"),
    ],
    ids=["none", "one", "uneven", "misnamed", "control", "bytes"],
)
def test_folders_that_are_no_data_set_are_an_error_of_the_spec(
    tmp_path: Path, folders: tuple[str, ...], match: str
) -> None:
    code, message, help = only(check_text(text(put(tmp_path, *folders))))
    assert code == "SPC607"
    assert match in message
    assert help


def test_a_folder_that_may_not_be_searched_is_an_error_of_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    assert only(check_text(text(tmp_path)))[1] == f"{tmp_path} cannot be searched: Permission denied"


def test_a_run_is_of_the_classes_that_its_plan_names(tmp_path: Path) -> None:
    put(tmp_path / "photos", "cat", "dog")
    (tmp_path / "spec.yaml").write_text(text(Path("photos")))
    result = specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "note: there is no test folder: 2 of 20 images" in result.stderr
    assert RunDir(tmp_path / "run").plan().data.class_names == ("cat", "dog")
    (tmp_path / "photos" / "dog").rename(tmp_path / "photos" / "ape")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text()) | {"status": "interrupted"}
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    result = specc("resume", "run", "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 3
    assert "has the classes ape, cat, and the plan is of cat, dog" in result.stderr
