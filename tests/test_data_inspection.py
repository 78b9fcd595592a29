"""Before the first epoch every image is looked at: what is wrong with them is said as of a spec, and at once."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.data import DataError, Splits, open_dataset
from runtime.data.inspection import inspect
from specc.diagnostics.notices import watched

from . import small_data as small
from .commands import Result, specc
from .documents import document
from .watching import Diary


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six cats and six dogs, all of one size."""
    image = small.png(small.pixels(12, 10, 3))
    return small.put(tmp_path / "photos", {f"{name}/{i}.png": image for name in ("cat", "dog") for i in range(6)})


def opened(root: Path, dataset: str = "image_folder", **options: Any) -> Splits:
    return open_dataset(small.config(dataset, root, **options))


def run(root: Path, **data: Any) -> Result:
    data = {"dataset": "image_folder", "root": root.name, "image_size": 8, "batch_size": 4} | data
    (root.parent / "spec.yaml").write_text(json.dumps(document(data=data, train={"epochs": 1}), indent=1))
    return specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=root.parent)


def summary(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root.parent / "run" / "summary.json").read_text())
    return found


def damage(root: Path) -> None:
    whole = (root / "cat/1.png").read_bytes()
    (root / "cat/1.png").write_bytes(whole[: len(whole) // 2])
    (root / "dog/2.png").write_bytes(b"no image")


# --- images that cannot be read ---


def test_all_damaged_images_are_told_at_once_before_the_first_epoch(root: Path) -> None:
    damage(root)
    result = run(root)
    assert result.returncode == 3
    assert "error[SPC640]: 2 of 12 images cannot be read" in result.stderr
    assert '"root": "photos"' in result.stderr, "the line that names the folder"
    assert f"{root}/cat/1.png cannot be decoded: " in result.stderr
    assert f"{root}/dog/2.png cannot be decoded: it is no image" in result.stderr
    assert "data.on_bad_image=skip" in result.stderr
    assert not (root.parent / "run").exists()


def test_damaged_images_can_be_left_out_which_is_listed_and_counted(root: Path) -> None:
    damage(root)
    result = run(root, on_bad_image="skip")
    assert result.returncode == 0, result.stderr
    assert "warning[SPC640]: 2 of 12 images cannot be read and are left out" in result.stderr
    rows = list(csv.DictReader((root.parent / "run" / "skipped.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["cat/1.png", "dog/2.png"]
    assert "it is no image" in rows[1]["reason"]
    assert summary(root)["skipped_images"] == 2
    plan = json.loads((root.parent / "run" / "plan.json").read_text())
    assert plan["data"]["skipped"] == ["cat/1.png", "dog/2.png"]


def test_a_resumed_run_leaves_out_what_it_left_out_before(root: Path) -> None:
    whole = (root / "cat/1.png").read_bytes()
    damage(root)
    assert run(root, on_bad_image="skip").returncode == 0
    (root / "cat/1.png").write_bytes(whole)
    (root.parent / "run" / "summary.json").write_text("{}")
    result = specc("resume", "run", "--device", "cpu", cwd=root.parent)
    assert result.returncode == 0, result.stderr
    assert summary(root)["skipped_images"] == 2


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_a_run_is_not_resumed_on_other_images(root: Path, change: str) -> None:
    assert run(root).returncode == 0
    (root.parent / "run" / "summary.json").unlink()
    if change == "added":
        (root / "cat/new.png").write_bytes((root / "cat/1.png").read_bytes())
    else:
        (root / "cat/1.png").rename(root / ("dog/renamed.png" if change == "renamed" else "../gone.png"))
    result = specc("resume", "run", "--device", "cpu", cwd=root.parent)
    assert result.returncode == 3
    assert "are not those that the run began with" in result.stderr
    assert specc("evaluate", "run", "--device", "cpu", cwd=root.parent).returncode == 0


def test_a_run_is_resumed_where_its_images_were_moved_to(root: Path) -> None:
    damage(root)
    assert run(root, on_bad_image="skip").returncode == 0
    (root.parent / "run" / "summary.json").unlink()
    root.rename(root.parent / "moved")
    result = specc("resume", "run", "data.root=moved", "--device", "cpu", cwd=root.parent)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("validation", [None, 0.2])
def test_images_that_are_mixed_are_looked_at_and_known_too(validation: float | None, root: Path) -> None:
    options: dict[str, Any] = {"augment": [{"mixup": 0.2}]} | ({"validation": validation} if validation else {})
    assert run(root, **options).returncode == 0
    assert json.loads((root.parent / "run" / "plan.json").read_text())["data"]["files"]
    (root.parent / "run" / "summary.json").unlink()
    (root / "cat/1.png").rename(root / "cat/renamed.png")
    result = specc("resume", "run", "--device", "cpu", cwd=root.parent)
    assert "are not those that the run began with" in result.stderr
    (root / "cat/renamed.png").rename(root / "cat/1.png")
    damage(root)
    shutil.rmtree(root.parent / "run")
    assert "error[SPC640]: 2 of 12 images cannot be read" in run(root, **options).stderr


def test_a_run_of_whole_images_has_nothing_to_list(root: Path) -> None:
    assert run(root, on_bad_image="skip").returncode == 0
    assert not (root.parent / "run" / "skipped.csv").exists()
    assert summary(root)["skipped_images"] == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_find_the_same(root: Path, workers: int) -> None:
    damage(root)
    seen = inspect(opened(root, workers=workers))
    assert sorted(each.name for each in seen if each.error) == ["cat/1.png", "dog/2.png"]
    assert {(each.width, each.height) for each in seen if not each.error} == {(10, 12)}


@pytest.mark.parametrize("damaged", ["train/masks/0.png", "train/images/1.png"])
def test_a_mask_is_looked_at_with_its_image(tmp_path: Path, damaged: str) -> None:
    small.put(tmp_path, small.mask_folder() | {damaged: b"no image"})
    (wrong,) = [each for each in inspect(opened(tmp_path, "mask_folder")) if each.error]
    assert damaged in wrong.error


def test_published_data_sets_are_not_looked_at(root: Path) -> None:
    assert inspect(opened(root, "digits")) == []


# --- classes without images ---


def test_an_empty_class_is_an_error_of_the_spec(root: Path) -> None:
    (root / "owl").mkdir()
    result = run(root)
    assert result.returncode == 3
    assert f"error[SPC641]: {root} has no images in owl" in result.stderr
    assert "images are files that end in" in result.stderr


def test_a_class_of_which_no_image_is_left_is_one_without_images(root: Path) -> None:
    for path in (root / "dog").iterdir():
        path.write_bytes(b"no image")
    result = run(root, on_bad_image="skip")
    assert result.returncode == 3
    assert "error[SPC641]: no image can be read of dog" in result.stderr
    assert "warning[SPC640]: 6 of 12 images" in result.stderr


# --- sizes ---


def resize(root: Path, name: str, height: int, width: int) -> None:
    small.put(root, {name: small.png(np.zeros((height, width), dtype=np.uint8))})


@pytest.mark.parametrize(
    ("height", "width", "size", "match"),
    [
        (3, 3, 8, "1 of 12 images are less than half of `image_size`: cat/1.png has 3×3 pixels"),
        (120, 130, 8, "very different sizes: cat/0.png has 12×10 pixels, cat/1.png has 120×130 pixels"),
        (12, 40, 8, "1 of 12 images are more than 3 times as long as wide: cat/1.png has 12×40 pixels"),
    ],
    ids=["tiny", "large", "thin"],
)
def test_sizes_that_surprise_are_warned_of(root: Path, height: int, width: int, size: int, match: str) -> None:
    resize(root, "cat/1.png", height, width)
    result = run(root, image_size=size)
    assert result.returncode == 0, result.stderr
    assert "warning[SPC642]: " in result.stderr
    assert match in result.stderr
    assert result.stderr.count("SPC642]") == 1


def test_ordinary_sizes_are_no_surprise(root: Path) -> None:
    assert "SPC642" not in run(root).stderr


# --- the cache ---


def looked_at(splits: Splits) -> int:
    """How many images are read."""
    with watched(diary := Diary()):
        inspect(splits)
    assert [done for done, _ in diary.counts] == [*range(len(diary.counts))]
    return diary.counts[-1][1] if diary.counts else 0


def test_an_image_is_read_again_only_when_it_has_changed(root: Path) -> None:
    splits = opened(root)
    assert looked_at(splits) == 12
    assert looked_at(opened(root)) == 0
    os.utime(root / "cat/3.png", (0, 0))
    assert looked_at(opened(root)) == 1
    resize(root, "cat/3.png", 9, 9)
    assert {(each.width, each.height) for each in inspect(opened(root))} == {(10, 12), (9, 9)}
    resize(root, "dog/new.png", 9, 9)
    assert looked_at(opened(root)) == 1


def test_what_could_not_be_read_is_tried_again(root: Path) -> None:
    damage(root)
    for _ in range(2):
        assert len([each for each in inspect(opened(root)) if each.error]) == 2
    assert looked_at(opened(root)) == 2


def test_another_way_of_reading_is_another_look(root: Path) -> None:
    assert looked_at(opened(root)) == 12
    assert looked_at(opened(root, channels=1)) == 12
    assert looked_at(opened(root)) == 0


DAMAGES = (
    b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"of": {}, "samples": {}}', b'{"samples": 1}', b"{}",
    b"cos\nsystem\n(S'touch it-ran'\ntR.",
)  # fmt: skip


@pytest.mark.parametrize("content", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_cache_is_no_cache(root: Path, cache: Path, content: bytes) -> None:
    first = inspect(opened(root))
    (path,) = cache.iterdir()
    path.write_bytes(content)
    assert inspect(opened(root)) == first
    assert looked_at(opened(root)) == 0, "and is replaced"
    assert not Path("it-ran").exists()


@pytest.mark.parametrize("sides", [[], [3], [0, 4], [-1, 4], [3, 1 << 40], [3, True], ["3", "4"], [3.5, 4], [3, 4, 5]])
def test_an_entry_that_nobody_wrote_is_not_believed(root: Path, cache: Path, sides: list[object]) -> None:
    first = inspect(opened(root))
    (path,) = cache.iterdir()
    document = json.loads(path.read_text())
    document["samples"]["cat/0.png"][2:] = sides
    document["samples"]["cat/1.png"] = "x"
    path.write_text(json.dumps(document))
    assert inspect(opened(root)) == first


def test_a_cache_of_another_folder_is_not_believed(root: Path, cache: Path) -> None:
    inspect(opened(root))
    (path,) = cache.iterdir()
    path.write_text(path.read_text().replace(str(root), "/elsewhere"))
    assert looked_at(opened(root)) == 12


def test_a_cache_of_another_user_is_not_believed(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect(opened(root))
    (path,) = cache.iterdir()
    real = os.fstat

    def of_somebody(file: int) -> os.stat_result:
        found = real(file)
        mine = found.st_ino != path.stat().st_ino
        return found if mine else os.stat_result((*found[:4], 12345, *found[5:]))

    monkeypatch.setattr(os, "fstat", of_somebody)
    assert looked_at(opened(root)) == 12


def test_a_cache_that_cannot_be_written_is_no_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "file").touch()
    monkeypatch.setenv("SPECC_CACHE", str(root.parent / "file"))
    assert len(inspect(opened(root))) == 12


def test_the_cache_is_a_regular_file_or_none(root: Path, cache: Path) -> None:
    first = inspect(opened(root))
    (path,) = cache.iterdir()
    path.unlink()
    os.mkfifo(path)
    assert inspect(opened(root)) == first


def test_an_image_that_is_damaged_after_the_look_still_ends_the_run(root: Path) -> None:
    splits = opened(root)
    inspect(splits)
    (root / "cat/0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cat/0\.png cannot be decoded"):
        [*splits.train.batches([np.arange(len(splits.train))], None)]


def test_grey_images_are_trained_as_grey(root: Path) -> None:
    for path in (root / "cat").iterdir():
        Image.open(path).convert("L").save(path)
    assert run(root, channels=1).returncode == 0
    plan = json.loads((root.parent / "run" / "plan.json").read_text())
    assert plan["data"]["shape"] == [1, 8, 8]
