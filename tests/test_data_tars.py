"""Tar files as WebDataset has them, and folders: what each of several devices opens, in which order, and how often."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from webdataset.tariterators import group_by_keys, tar_file_expander

from runtime.data import DataError, decoding, open_dataset, tars
from runtime.data.loader import Loader
from specc.layout import laid_out
from specc.plan import Layout
from tests import small_data as small
from tests.commands import specc
from tests.documents import compiled, document

COUNT = 10  # samples to train on
BATCH = 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "set-train-0.tar": small.shard(0, 6),
        "set-train-1.tar": small.shard(6, 4),
        "set-val-0.tar": small.shard(10, 5),
    }
    return small.put(tmp_path / "images", files)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened to be decoded."""
    found: list[str] = []

    def opened(path: str) -> object:
        found.append(path)
        return tars.opened(path)

    monkeypatch.setattr(decoding, "opened", opened)
    return found


def layouts(copies: int) -> list[Layout | None]:
    if copies == 1:
        return [None]
    plan = compiled(devices={"data_parallel": copies})
    return [laid_out(plan, rank, (0,)).layout for rank in range(copies)]


def numbers(batches: list[torch.Tensor]) -> list[int]:
    """Which images these are: each has a colour of its own."""
    return [round(float(image[0, 0, 0]) * 0.229 * 255 + 0.485 * 255) for images in batches for image in images]


def seen(root: Path, copies: int, *, train: bool, start: int = 0) -> list[list[int]]:
    """By device, the images of an epoch in the order in which it has them."""
    splits = open_dataset(small.config("tar_folder", root))
    split = splits.train if train else splits.test
    found = []
    for layout in layouts(copies):
        loader = Loader(split, BATCH, seed=3, train=train, layout=layout)
        found.append(numbers([part.batch[0] for part in loader.parts(1, start) if part.batch is not None]))
    return found


def test_samples_are_those_of_webdataset_in_its_order(root: Path) -> None:
    split = open_dataset(small.config("tar_folder", root)).train
    ((images, labels),) = split.batches([np.arange(len(split))], None)
    with ExitStack() as files:
        paths = sorted(root.glob("*train*"))
        sources = [{"url": str(path), "stream": files.enter_context(path.open("rb"))} for path in paths]
        samples = list(group_by_keys(tar_file_expander(sources)))
    assert [int(sample["cls"]) for sample in samples] == labels.tolist()
    assert [name.rpartition("/")[2] for name in split.names] == [f"{each['__key__']}.png" for each in samples]
    assert images[:, 0, 0, 0].tolist() == list(range(COUNT))


def test_the_order_of_samples_is_the_same_on_any_number_of_devices(root: Path) -> None:
    ((alone,),) = [seen(root, 1, train=True)]
    first, second = seen(root, 2, train=True)
    assert sorted(first + second) == sorted(alone)
    assert not set(first) & set(second)
    assert [set(alone[i : i + BATCH]) for i in (0, 4)] == [{*first[i : i + 2], *second[i : i + 2]} for i in (0, 2)]


def test_every_sample_counts_once_in_an_evaluation(root: Path) -> None:
    assert sorted(number for each in seen(root, 2, train=False) for number in each) == list(range(10, 15))


def test_the_middle_of_an_epoch_is_gone_on_with(root: Path) -> None:
    assert [each[2:] for each in seen(root, 2, train=True)] == seen(root, 2, train=True, start=1)


@pytest.mark.parametrize("dataset", ["image_folder", "tar_folder"])
@pytest.mark.parametrize("train", [True, False])
def test_each_device_opens_its_own_part_of_the_images_alone(
    dataset: str, train: bool, tmp_path: Path, opens: list[str]
) -> None:
    files = {"image_folder": small.image_folder, "tar_folder": small.tar_folder}[dataset]()
    splits = open_dataset(small.config(dataset, small.put(tmp_path, files), augment="paper"))
    split, by_device = splits.train if train else splits.test, list[Counter[str]]()
    for layout in layouts(2):
        opens.clear()
        for _ in Loader(split, 2, seed=0, train=train, layout=layout).parts(0):
            pass
        by_device.append(Counter(opens))
    first, second = by_device
    assert not set(first) & set(second)
    assert set((first + second).values()) == {1}
    assert sum(first.values()) == sum(second.values()) == len(split) / 2


def test_a_stage_that_is_given_features_opens_no_image(root: Path, opens: list[str]) -> None:
    layout = laid_out(compiled(devices={"block_parallel": 2}), 1, (0, 2)).layout
    split = open_dataset(small.config("tar_folder", root)).train
    assert [part.batch for part in Loader(split, BATCH, seed=0, train=True, layout=layout).parts(0)] == [None, None]
    assert opens == []


def test_a_member_goes_to_worker_processes_as_it_is() -> None:
    member = tars.Member.of("/x/0.tar", "./a.png", 512, 70)
    again = pickle.loads(pickle.dumps(member))
    assert (str(again), again.archive, again.first, again.size) == ("/x/0.tar/a.png", "/x/0.tar", 512, 70)


# ------------------------------------------------------------------------------------------- layouts of files


def test_parts_are_folders_or_words_of_names(tmp_path: Path) -> None:
    sizes = {}
    for way, names in {
        "folders": ("train/a.tar", "valid/a.tar", "test/a.tar"), "words": ("a-train.tar", "a_val.tar", "a.test.tar"),
        "tested": ("imagenet1k-train-0000.tar", "imagenet1k-validation-00.tar"), "none": ("0.tar",),
    }.items():  # fmt: skip
        put = small.put(tmp_path / way, {name: small.shard(0, 20 - i) for i, name in enumerate(names)})
        splits = open_dataset(small.config("tar_folder", put))
        sizes[way] = (len(splits.train), len(splits.validation or ()), len(splits.test))
    assert sizes == {"folders": (20, 19, 18), "words": (20, 19, 18), "tested": (20, 0, 19), "none": (18, 0, 2)}


WHOLE = small.shard(0, 3)
BLOCK = 512


def sparse() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("a.png")
        entry.type = tarfile.GNUTYPE_SPARSE
        archive.addfile(entry)
    return content.getvalue()


def sized(size: bytes) -> bytes:
    """The first header says another size, and its checksum is right."""
    header = bytearray(WHOLE[:BLOCK])
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + WHOLE[BLOCK:]


BROKEN = {
    "empty": (b"", "empty file"),
    "cut in a file": (WHOLE[: 3 * BLOCK + 20], "is damaged"),
    "cut at the end of a file": (WHOLE[: WHOLE.index(b"0002.png")], "it is cut off"),
    "a header in the middle": (WHOLE.replace(b"0001.png", b"0001\xffpng"), "no header of a file"),
    "two tar files in one": (WHOLE + WHOLE, "no header of a file"),
    "no tar file": (b"<html>" * 500, "is damaged"),
    "packed": (b"\x1f\x8b" + WHOLE, "packed by gzip"),
    "a size below zero": (sized(b"\xff" * 11 + b"\x00"), "leads nowhere"),
    "a size without end": (sized(b"\x80" + b"\x00" * 5 + b"\x7f" + b"\x00" * 5), "is damaged"),
    "holes": (sparse(), "leads nowhere"),
    "twice": (small.tar({"a.png": b"x"})[: 2 * BLOCK] + small.tar({"a.png": b"x"}), "'a.png' twice"),
    "no class": (small.tar({"a.png": b"x"}), "the sample `a` has no `.cls`"),
    "a name for a class": (small.tar({"a.png": b"x", "a.cls": b"cat"}), "holds 'cat', which is no class from 0 to 1"),
    "a class too many": (small.tar({"a.png": b"x", "a.cls": b"2"}), "holds '2', which is no class"),
    "no images": (small.tar({"a.txt": b"x", "a.cls": b"1"}), "have no images"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_tar_file_is_an_error_of_the_spec_and_no_run_is_begun(how: str, tmp_path: Path) -> None:
    content, said = BROKEN[how]
    small.put(tmp_path / "images", {"train/0.tar": content, "val/0.tar": small.shard(0, 2)})
    data = {"dataset": "tar_folder", "root": "images", "image_size": 8, "classes": 2, "batch_size": 2}
    (tmp_path / "spec.json").write_text(json.dumps(document(data=data)))
    done = specc("run", "spec.json", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 3
    assert "error[SPC643]: " in done.stderr
    assert said in " ".join(done.stderr.split())
    assert "spec.json:1:" in done.stderr, "where the folder is named"
    assert not (tmp_path / "run").exists()


def test_what_is_not_told_apart_is_asked_for(tmp_path: Path) -> None:
    small.put(tmp_path, {"train-0.tar": WHOLE, "1.tar": WHOLE})
    with pytest.raises(DataError, match=r"cannot be told what they are for: 1\.tar"):
        open_dataset(small.config("tar_folder", tmp_path))
    with pytest.raises(DataError, match=r"not there"):
        open_dataset(small.config("tar_folder", tmp_path / "nowhere"))


def test_without_the_library_it_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webdataset.tariterators", None)
    with pytest.raises(DataError) as caught:
        open_dataset(small.config("tar_folder", root))
    assert caught.value.help == ("pip install 'specc[tar]'",)


# ------------------------------------------------------------------------------------------- a run


def test_a_run_on_tar_files_leaves_out_what_cannot_be_read_and_sees_when_others_lie_there(tmp_path: Path) -> None:
    damaged = small.tar({"0.png": b"no image", "0.cls": b"0"})
    small.put(tmp_path / "images", {"train/0.tar": small.shard(0, 6), "train/1.tar": damaged, "val/0.tar": WHOLE})
    data = {"dataset": "tar_folder", "root": "images", "image_size": 8, "classes": 2, "batch_size": 2,
            "on_bad_image": "skip", "workers": 1}  # fmt: skip
    train = {"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-3}}
    (tmp_path / "spec.json").write_text(json.dumps(document(data=data, train=train)))
    done = specc("run", "spec.json", "--device", "cpu", "--no-report", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train/1.tar/0.png" in (tmp_path / "run" / "skipped.csv").read_text()
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["data"]["skipped"] == ["train/1.tar/0.png"]
    small.put(tmp_path / "images", {"train/0.tar": small.shard(1, 6)})
    done = specc("resume", "run", "train.epochs=2", "--device", "cpu", "--no-report", cwd=tmp_path)
    assert done.returncode == 3
    assert "are not those that the run began with" in done.stderr
