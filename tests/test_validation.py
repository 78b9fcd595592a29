"""A part of the training set is kept apart: always the same one, never trained on, and the test waits for the end."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.data import DataConfig, DataError, Loader, Split, open_dataset, sources
from runtime.data.draws import Draws
from runtime.data.held_out import Part, choose
from runtime.data.splits import Splits
from specc import SpecError

from . import small_data as small
from .commands import specc
from .documents import compiled, document
from .test_resume import TINY, resumed, rows, stopped, trainer_of

FOLDERS = ("image_folder", "label_folder", "mask_folder", "cityscapes", "voc")
MEMORY = ("mnist", "cifar10", "svhn", "stl10")
HELD: dict[str, Any] = {"data": TINY["data"] | {"validation": 8}}  # of 20, so an epoch has two steps


def images_of(split: Split, draws: Draws | None = None) -> list[bytes]:
    ((images, _),) = split.batches([np.arange(len(split))], draws)
    return [bytes(image.numpy().tobytes()) for image in images]


def put(dataset: str, root: Path) -> Path:
    """Its files, all images different."""
    return small.put(root, getattr(small, dataset)())


def different(root: Path, count: int = 12) -> Path:
    """An image folder with `count` images a class, all different."""
    generator = np.random.default_rng(0)
    names = [f"{half}/{name}/{i}.png" for half in ("train", "val") for name in ("cat", "dog") for i in range(count)]
    return small.put(root, {name: small.png(generator.integers(256, size=(8, 8, 3), dtype=np.uint8)) for name in names})


@pytest.mark.parametrize("dataset", [*FOLDERS, *MEMORY])
def test_every_data_set_can_be_split(dataset: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.data.archive.is_original", lambda content, checksum: True)  # made-up images
        whole = open_dataset(small.config(dataset, put(dataset, tmp_path)))
        split = open_dataset(small.config(dataset, tmp_path, validation=1))
    assert split.validation is not None
    assert (len(split.validation), len(split.train)) == (1, len(whole.train) - 1)
    assert (split.info.validation_size, split.info.train_size) == (1, len(whole.train) - 1)
    assert Counter(images_of(split.train) + images_of(split.validation)) == Counter(images_of(whole.train))
    assert whole.test is not None
    assert split.test is not None
    assert images_of(split.test) == images_of(whole.test)


def splits_of(root: Path, **options: object) -> Splits:
    return open_dataset(small.config("image_folder", root, **options))


def held(splits: Splits) -> set[bytes]:
    assert splits.validation is not None
    return set(images_of(splits.validation))


@pytest.mark.parametrize("config", [{"dataset": "digits"}, {"dataset": "synthetic", "samples": 60, "image_size": 8,
                                                            "channels": 1, "classes": 4}])  # fmt: skip
def test_no_image_is_on_both_sides(config: dict[str, Any]) -> None:
    splits = open_dataset(DataConfig(**config, validation=0.2))
    assert isinstance(splits.train, Part)
    assert isinstance(splits.validation, Part)
    both = np.concatenate([splits.train.indices, splits.validation.indices])
    assert sorted(both.tolist()) == list(range(len(splits.train) + len(splits.validation)))
    assert len(splits.validation) == round(0.2 * len(both))


def test_the_seed_changes_nothing(tmp_path: Path) -> None:
    root = different(tmp_path)
    assert held(splits_of(root, validation=0.25)) == held(splits_of(root, validation=0.25, seed=7))
    digits = [open_dataset(DataConfig("digits", validation=0.1, seed=seed)) for seed in (0, 1)]
    assert held(digits[0]) == held(digits[1])


def test_files_are_chosen_by_their_names(tmp_path: Path) -> None:
    """Wherever the folder is, and whatever becomes of other classes' images."""
    here, there = different(tmp_path / "here"), different(tmp_path / "there" / "deeper")
    chosen = held(splits_of(here, validation=0.25))
    assert chosen == held(splits_of(there, validation=0.25))
    (there / "train" / "dog").rename(there / "train" / "another")
    (there / "val" / "dog").rename(there / "val" / "another")
    with_other_names = held(splits_of(there, validation=0.25))
    assert with_other_names != chosen, "those of the renamed class are chosen anew"
    assert len(with_other_names & chosen) >= 3, "those of `cat` are the same"


def test_files_that_come_later_leave_the_others_where_they_are(tmp_path: Path) -> None:
    """But for one at the border of each class."""
    before = held(splits_of(different(tmp_path), validation=0.25))
    noise = np.random.default_rng(1)
    for name in ("cat", "dog"):
        small.put(tmp_path / "train" / name, {"x.png": small.png(noise.integers(256, size=(8, 8, 3), dtype=np.uint8))})
    after = held(splits_of(tmp_path, validation=0.25))
    assert len(before) == len(after) == 6
    assert len(before & after) >= 4


def test_every_class_gives_its_part(tmp_path: Path) -> None:
    splits = splits_of(different(tmp_path), validation=0.25)
    assert splits.validation is not None
    ((_, labels),) = Loader(splits.validation, 99, seed=0, train=False).epoch(0)
    assert labels.bincount().tolist() == [3, 3]
    digits = open_dataset(DataConfig("digits", validation=0.1)).validation
    assert digits is not None
    ((_, labels),) = Loader(digits, 999, seed=0, train=False).epoch(0)
    assert set(labels.bincount().tolist()) == {14, 15}


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data())
def test_a_choice_is_fair_and_of_no_order(labels: list[int], data: st.DataObject) -> None:
    """As many of each class as of all but for one, and the same ones in whatever order they are given."""
    size = len(labels)
    count = data.draw(st.integers(1, size - 1))
    keys = Draws(0, 0).bits(np.arange(size), "test")
    chosen = choose(keys, count, labels)
    assert len(set(chosen.tolist())) == count
    found, there = Counter(labels[i] for i in chosen), Counter(labels)
    assert all(abs(found[label] - count * there[label] / size) <= 1 for label in there)
    order = list(range(size))
    random.Random(0).shuffle(order)
    again = choose(keys[order], count, [labels[i] for i in order])
    assert {order[i] for i in again} == set(chosen.tolist())


def test_an_image_is_augmented_as_if_nobody_had_been_taken_away() -> None:
    config = DataConfig("digits", augment="paper")
    whole = open_dataset(config)
    part = open_dataset(DataConfig("digits", augment="paper", validation=0.1)).train
    assert isinstance(part, Part)
    everybody = images_of(whole.train, Draws(0, 3))
    assert images_of(part, Draws(0, 3)) == [everybody[i] for i in part.indices]


def test_without_a_validation_set_the_order_is_what_it_was() -> None:
    """A golden trace is of this order."""
    train = open_dataset(DataConfig("digits")).train
    assert not isinstance(train, Part)


def test_a_folder_that_comes_with_one_is_not_split_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_its_own(config: DataConfig, info: Any) -> Splits:
        found = sources.folders.image_folder(config, info)
        return replace(found, validation=found.test)

    monkeypatch.setattr(sources, "image_folder", with_its_own)
    assert splits_of(different(tmp_path)).watches == "val"
    with pytest.raises(DataError, match="comes with images for validation"):
        splits_of(tmp_path, validation=1)


# ---------------------------------------------------------------------------------------------- in a spec


@pytest.mark.parametrize(
    ("validation", "code", "said"),
    [
        (24, "SPC602", "`validation: 24` of 24 training samples leaves none to train on"),
        (0.999, "SPC602", "`validation: 0.999` of 24 training samples leaves none to train on"),
        (1.0, "SPC104", "`data.validation` must be less than 1, not `1.0`"),
        (0, "SPC104", "`data.validation` must be at least 1, not `0`"),
        (True, "SPC103", "`data.validation` must be a whole number or a number, not `true`"),
    ],
)
def test_what_cannot_be_kept_apart_is_said_at_its_place(validation: object, code: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        compiled(data=document()["data"] | {"validation": validation})
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == (code, said)
    assert found.span is not None


def test_the_plan_counts_what_is_left_to_train_on() -> None:
    plan = compiled(data=document()["data"] | {"validation": 0.25})
    assert (plan.data.train_size, plan.data.validation_size) == (18, 6)
    assert plan.fingerprint != compiled().fingerprint


def test_a_folder_with_too_few_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of 24 training samples leaves none to train on"):
        splits_of(different(tmp_path), validation=24)


# ---------------------------------------------------------------------------------------------- in a run


def test_epochs_are_judged_by_the_validation_set_and_the_test_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(compiled(**TINY | HELD, train={"epochs": 2}), tmp_path)
    looked: list[int] = []
    evaluate = trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", lambda data: looked.append(len(data.split)) or evaluate(data))
    summary = trainer.train()
    assert looked == [8, 8, 5], "two epochs, then the test"
    columns = rows(tmp_path)[0].keys()
    assert {"val_accuracy", "val_loss"} <= columns
    assert not [name for name in columns if name.startswith("test")]
    assert summary["validation"].keys() == summary["test"].keys() == {"accuracy", "loss"}
    ((images, labels),) = Loader(trainer.splits.test, 99, seed=0, train=False).epoch(0)
    right = trainer.session.predict(images).argmax(1) == labels
    assert summary["test"]["accuracy"] == pytest.approx(float(right.float().mean()))
    assert f"{summary['validation']['accuracy']!r}" == rows(tmp_path)[-1]["val_accuracy"]


def test_nothing_that_is_validated_on_is_ever_trained_on(tmp_path: Path) -> None:
    trainer = trainer_of(compiled(**TINY | HELD, train={"epochs": 3}), tmp_path)
    seen: set[bytes] = set()
    step = trainer.session.train_step

    def watched(images: torch.Tensor, labels: torch.Tensor, **how: Any) -> Any:
        seen.update(image.numpy().tobytes() for image in images)
        return step(images, labels, **how)

    trainer.session.train_step = watched
    trainer.train()
    ((images, _),) = Loader(trainer.splits.validation, 99, seed=0, train=False).epoch(0)
    kept = {image.numpy().tobytes() for image in images}
    assert len(kept) == 8
    assert len(seen) == 12
    assert not kept & seen


def test_a_resumed_run_keeps_its_split(tmp_path: Path) -> None:
    plan = compiled(**TINY | HELD, train={"epochs": 2})
    whole = trainer_of(plan, tmp_path / "whole")
    summary = whole.train()
    for epoch, step in ((0, 0), (0, 1), (1, 1)):
        folder = tmp_path / f"{epoch}.{step}"
        before = stopped(trainer_of(plan, folder), epoch, step)
        after = resumed(plan, folder)
        assert held(after.splits) == held(before.splits) == held(whole.splits)
        again = after.train()
        assert (again["test"], again["validation"]) == (summary["test"], summary["validation"])
        assert rows(folder) == rows(tmp_path / "whole")


def test_a_person_reads_which_set_it_was(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(document(**TINY)))
    result = specc("run", "tiny.yaml", "--device", "cpu", "--run-dir", "run", "data.validation=0.4", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("epoch")]
    assert "  val " in line
    assert result.stdout.startswith("validation accuracy ")
    assert "; test accuracy " in result.stdout.splitlines()[0]
    again = specc("resume", "run", cwd=tmp_path)
    assert again.stdout.splitlines()[0] == result.stdout.splitlines()[0]
