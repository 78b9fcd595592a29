"""Data sets, augmentation and the determinism contract of DESIGN section 6."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from runtime.data import INFO, DataConfig, DataError, Loader, open_dataset, sources
from runtime.data.arrays import Arrays, CropFlip
from runtime.data.decoding import random_box
from runtime.data.draws import Draws
from runtime.data.sources.idx import read_idx
from runtime.data.splits import ArraySplit, Split

PAPER_CIFAR = CropFlip(pad=4, mode="reflect", flip=True)


def noise(size: int, *, seed: int = 0, augmentation: CropFlip = PAPER_CIFAR) -> ArraySplit:
    """A CIFAR-shaped split of noise whose labels are the sample indices."""
    images = np.random.default_rng(seed).integers(256, size=(size, 3, 32, 32), dtype=np.uint8)
    return ArraySplit(INFO["cifar10"], Arrays(images, np.arange(size)), augmentation)


def by_sample(loader: Loader, epoch: int) -> dict[int, torch.Tensor]:
    return {
        int(label): image for images, labels in loader.epoch(epoch) for image, label in zip(images, labels, strict=True)
    }


# --- determinism ---


def test_an_epoch_started_late_is_bit_identical() -> None:
    loader = Loader(noise(70), 16, seed=3, train=True)
    whole = list(loader.epoch(5))
    late = list(Loader(noise(70), 16, seed=3, train=True).epoch(5, start_step=2))
    assert len(whole) == len(loader) == 4
    assert len(late) == 2
    for (images, labels), (late_images, late_labels) in zip(whole[2:], late, strict=True):
        assert torch.equal(images, late_images)
        assert torch.equal(labels, late_labels)


def test_augmentation_of_a_sample_ignores_the_batch_size() -> None:
    small, large = (by_sample(Loader(noise(64), size, seed=0, train=True), 1) for size in (8, 32))
    assert small.keys() == large.keys()
    assert all(torch.equal(small[index], large[index]) for index in small)


@pytest.mark.parametrize(("seed", "epoch"), [(1, 0), (0, 1)])
def test_seed_and_epoch_change_order_and_augmentation(seed: int, epoch: int) -> None:
    base, other = Loader(noise(64), 64, seed=0, train=True), Loader(noise(64), 64, seed=seed, train=True)
    (_, order), (_, other_order) = next(base.epoch(0)), next(other.epoch(epoch))
    assert not torch.equal(order, other_order)
    images, others = by_sample(base, 0), by_sample(other, epoch)
    assert sum(torch.equal(images[index], others[index]) for index in images) < 8


def test_global_random_state_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    first, state = list(Loader(noise(8), 8, seed=0, train=True).epoch(0)), torch.get_rng_state()
    torch.manual_seed(2)
    second = list(Loader(noise(8), 8, seed=0, train=True).epoch(0))
    assert torch.equal(first[0][0], second[0][0])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_never_change() -> None:
    """Stored runs can be resumed only while these numbers stay."""
    draws = Draws(seed=1, epoch=2)
    assert draws.below(1000, np.arange(5), "flip").tolist() == [762, 217, 941, 133, 335]
    assert draws.permutation(8, "order").tolist() == [1, 5, 2, 3, 7, 6, 0, 4]


def test_draws_are_uniform_and_streams_independent() -> None:
    indices = np.arange(90_000)
    first, second = (Draws(0, 0).below(9, indices, stream) for stream in ("a", "b"))
    assert np.abs(np.bincount(first) - 10_000).max() < 500
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert sorted(Draws(0, 0).permutation(100, "order")) == list(range(100))


# --- batches ---


def test_train_drops_the_incomplete_batch_and_test_keeps_it() -> None:
    assert [len(Loader(noise(20), 8, seed=0, train=train)) for train in (True, False)] == [2, 3]
    assert [labels.shape[0] for _, labels in Loader(noise(20), 8, seed=0, train=False).epoch(0)] == [8, 8, 4]
    assert [labels.shape[0] for _, labels in Loader(noise(5), 8, seed=0, train=True).epoch(0)] == [5]


def test_evaluation_is_in_order_and_normalised_as_torchvision_does() -> None:
    split = noise(6)
    images, labels = next(Loader(split, 6, seed=0, train=False).epoch(0))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (split.info.mean, split.info.std))
    pixels = torch.from_numpy(split.data.images).float() / 255
    assert labels.tolist() == list(range(6))
    assert labels.dtype == torch.int64
    assert images.dtype == torch.float32
    assert torch.equal(images, (pixels - mean) / std)
    assert torch.allclose(images * std + mean, pixels, atol=1e-6)


# --- augmentation ---


@pytest.mark.parametrize(
    "augmentation", [PAPER_CIFAR, CropFlip(pad=2), CropFlip(pad=1, flip=True), CropFlip(flip=True), CropFlip()], ids=str
)
def test_augmentation_equals_a_naive_loop(augmentation: CropFlip) -> None:
    images, indices, draws = noise(32).data.images[:, :, :20], np.arange(100, 132), Draws(7, 3)
    before = images.copy()
    augmented = augmentation(images, indices, draws)
    assert np.array_equal(images, before)
    for image, index, result in zip(images, indices, augmented, strict=True):
        assert np.array_equal(result, naive(augmentation, image, index, draws))


def naive(augmentation: CropFlip, image: np.ndarray, index: int, draws: Draws) -> np.ndarray:
    def draw(bound: int, stream: str) -> int:
        return int(draws.below(bound, np.array([index]), stream)[0])

    channels, height, width = image.shape
    pad, result = augmentation.pad, np.zeros_like(image)
    top, left = draw(2 * pad + 1, "crop.top") - pad, draw(2 * pad + 1, "crop.left") - pad
    for channel, row, column in np.ndindex(channels, height, width):
        y, x = row + top, column + left
        if augmentation.mode == "reflect":
            y, x = height - 1 - abs(height - 1 - abs(y)), width - 1 - abs(width - 1 - abs(x))
        if 0 <= y < height and 0 <= x < width:
            result[channel, row, column] = image[channel, y, x]
    return result[:, :, ::-1] if augmentation.flip and draw(2, "flip") else result


def test_every_shift_and_both_mirrors_occur() -> None:
    draws, indices = Draws(0, 0), np.arange(500)
    assert set(draws.below(9, indices, "crop.top")) == set(range(9))
    assert 0.4 < draws.below(2, indices, "flip").mean() < 0.6


# --- digits ---


def test_digits_are_split_four_to_one_in_every_class() -> None:
    splits = open_dataset(DataConfig("digits"))
    assert (len(splits.train), len(splits.test)) == (splits.info.train_size, splits.info.test_size) == (1437, 360)
    train, test = (np.bincount(labels_of(split), minlength=10) for split in (splits.train, splits.test))
    assert np.all(np.abs(test - (train + test) / 5) < 1)


def test_digits_are_all_of_the_originals_in_minus_one_to_one() -> None:
    from sklearn.datasets import load_digits

    splits = open_dataset(DataConfig("digits", augment="paper"))
    images = torch.cat(
        [next(Loader(half, 2000, seed=0, train=False).epoch(0))[0] for half in (splits.train, splits.test)]
    )
    pixels = torch.from_numpy(load_digits().images / 16).float().flatten(1)
    restored = (images * 0.5 + 0.5).flatten(1)
    assert sorted(restored.tolist()) == sorted(pixels.tolist())


def test_image_size_resizes_once() -> None:
    splits = open_dataset(DataConfig("digits", image_size=32))
    images, _ = next(Loader(splits.train, 4, seed=0, train=True).epoch(0))
    assert images.shape == (4, 1, 32, 32)
    assert splits.info.shape == (1, 32, 32)


def labels_of(split: Split) -> np.ndarray:
    return torch.cat([labels for _, labels in split.batches([np.arange(len(split))], None)]).numpy()


# --- MNIST and Fashion-MNIST ---


def write_idx(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder: Path, suffix: str) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    arrays = {}
    for half, size in (("train", 12), ("t10k", 4)):
        arrays[half] = generator.integers(256, size=(size, 28, 28), dtype=np.uint8)
        write_idx(folder / f"{half}-images-idx3-ubyte{suffix}", arrays[half])
        write_idx(folder / f"{half}-labels-idx1-ubyte{suffix}", np.arange(size, dtype=np.uint8) % 10)
    return arrays


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "raw", "."])
def test_fashion_mnist_reads_every_layout(tmp_path: Path, folder: str, suffix: str) -> None:
    arrays = write_mnist(tmp_path / folder, suffix)
    splits = open_dataset(DataConfig("fashion_mnist", root=str(tmp_path), augment="paper"))
    ((images, labels),) = splits.test.batches([np.arange(4)], None)
    assert len(splits.train) == 12
    assert np.array_equal(images[:, 0].numpy(), arrays["t10k"])
    assert labels.tolist() == [0, 1, 2, 3]


def test_resplit_keeps_every_image_and_both_sizes(tmp_path: Path) -> None:
    arrays = write_mnist(tmp_path / "MNIST/raw", ".gz")
    opened = [open_dataset(DataConfig("mnist", root=str(tmp_path), resplit=True, seed=seed)) for seed in (0, 1)]
    halves = [
        [next(half.batches([np.arange(len(half))], None))[0].numpy() for half in (s.train, s.test)] for s in opened
    ]
    assert [len(half) for half in halves[0]] == [12, 4]
    assert not np.array_equal(halves[0][1][:, 0], arrays["t10k"])
    assert np.array_equal(halves[0][1], halves[1][1]), "the split must not depend on the training seed"
    assert sorted(map(bytes, np.concatenate(halves[0]))) == sorted(map(bytes, np.concatenate([*arrays.values()])))


def test_idx_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    write_idx(path, np.zeros((3, 4), dtype=np.uint8))
    assert read_idx(path, (4,)).shape == (3, 4)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"labels is cut off: 11 bytes after the header, 12 expected"):
        read_idx(path, (4,))
    path.write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="labels is not an IDX file"):
        read_idx(path, (4,))


@pytest.mark.parametrize(
    "damage",
    [b"", b"not gzip", gzip.compress(b"not idx"), gzip.compress(b"x" * 99)[:-20]],
    ids=["empty", "not gzip", "not idx", "cut off"],
)
def test_damaged_files_are_data_errors(tmp_path: Path, damage: bytes) -> None:
    write_mnist(tmp_path, ".gz")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(damage)
    with pytest.raises(DataError, match="cannot be read") as caught:
        open_dataset(DataConfig("mnist", root=str(tmp_path)))
    assert "download=true" in caught.value.help[0]


# --- CIFAR-10, SVHN, STL-10 in torchvision's layouts ---


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept files whose checksums are not those of the real data."""
    monkeypatch.setattr("runtime.data.archive.is_original", lambda content, checksum: True)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


@pytest.mark.usefixtures("unchecked")
def test_cifar10(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    data = pixels(6, 3 * 32 * 32)
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [0, 1, 2, 3, 4, 5]}))
    splits = open_dataset(DataConfig("cifar10", root=str(tmp_path), augment="paper"))
    ((images, labels),) = splits.test.batches([np.arange(6)], None)
    assert (len(splits.train), len(splits.test)) == (30, 6)
    assert np.array_equal(images.numpy(), data.reshape(6, 3, 32, 32))
    assert labels.tolist() == list(range(6))
    assert_augmentation(splits.train, CropFlip(pad=4, mode="reflect", flip=True))


@pytest.mark.usefixtures("unchecked")
def test_svhn(tmp_path: Path) -> None:
    from scipy.io import savemat

    data = pixels(32, 32, 3, 5)
    for half in ("train", "test"):
        savemat(tmp_path / f"{half}_32x32.mat", {"X": data, "y": np.array([[1], [10], [3], [4], [5]], dtype=np.uint8)})
    splits = open_dataset(DataConfig("svhn", root=str(tmp_path), augment="paper"))
    ((images, labels),) = splits.train.batches([np.arange(5)], None)
    assert np.array_equal(images.numpy(), data.transpose(3, 2, 0, 1))
    assert labels.tolist() == [1, 0, 3, 4, 5]
    assert_augmentation(splits.train, CropFlip(pad=2))


@pytest.mark.usefixtures("unchecked")
def test_stl10(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    data = pixels(2, 3, 96, 96)
    for half in ("train", "test"):
        (folder / f"{half}_X.bin").write_bytes(data.tobytes())
        (folder / f"{half}_y.bin").write_bytes(bytes([1, 10]))
    splits = open_dataset(DataConfig("stl10", root=str(tmp_path), augment="paper"))
    ((images, labels),) = splits.train.batches([np.arange(2)], None)
    assert np.array_equal(images.numpy(), data.transpose(0, 1, 3, 2))
    assert labels.tolist() == [0, 9]
    assert_augmentation(splits.train, CropFlip(pad=4, flip=True))


def test_files_with_wrong_checksums_are_data_errors(tmp_path: Path) -> None:
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (tmp_path / name).write_bytes(b"cut off")
    with pytest.raises(DataError, match=r"cannot be read: .*not the original file"):
        open_dataset(DataConfig("svhn", root=str(tmp_path)))


@pytest.mark.parametrize(
    ("dataset", "augmentation"),
    [
        ("mnist", CropFlip(pad=2)),
        ("fashion_mnist", CropFlip(pad=2, flip=True)),
        ("digits", CropFlip(pad=1)),
        ("synthetic", CropFlip()),
    ],
)
def test_paper_augmentations(tmp_path: Path, dataset: str, augmentation: CropFlip) -> None:
    for name in ("MNIST", "FashionMNIST"):
        write_mnist(tmp_path / name / "raw", "")
    options = {"image_size": 8, "channels": 1, "classes": 2, "samples": 8} if dataset == "synthetic" else {}
    splits = open_dataset(DataConfig(dataset, root=str(tmp_path), augment="paper", **options))
    assert_augmentation(splits.train, augmentation)


def assert_augmentation(split: Split, augmentation: CropFlip) -> None:
    assert isinstance(split, ArraySplit)
    assert split.augmentation == augmentation


# --- image folders ---


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    for half, size in (("train", 5), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / half / name).mkdir(parents=True)
            for number in range(size):
                image = Image.fromarray(pixels(40, 60 + number, 3) // 2 + 60 * label)
                image.save(tmp_path / half / name / f"{number}.png")
    return tmp_path


def folder_config(root: Path, **options: object) -> DataConfig:
    return DataConfig("image_folder", root=str(root), image_size=28, classes=2, augment="paper", **options)


def test_image_folder_evaluates_as_torchvision_does(image_folder: Path) -> None:
    from torchvision.transforms import v2

    splits = open_dataset(folder_config(image_folder))
    images, labels = next(Loader(splits.test, 4, seed=0, train=False).epoch(0))
    expected = v2.Compose([v2.Resize(32), v2.CenterCrop(28), v2.PILToTensor()])(
        Image.open(image_folder / "val/cat/0.png")
    )
    ((raw, _),) = splits.test.batches([np.array([0])], None)
    assert torch.equal(raw[0], expected)
    assert images.shape == (4, 3, 28, 28)
    assert labels.tolist() == [0, 0, 1, 1]
    assert (splits.info.train_size, splits.info.test_size) == (10, 4)


def test_image_folder_is_deterministic_over_workers_batches_and_resumption(image_folder: Path) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    alone = list(Loader(open_dataset(folder_config(image_folder)).train, 4, seed=0, train=True).epoch(1))
    helped = list(Loader(open_dataset(folder_config(image_folder, workers=2)).train, 4, seed=0, train=True).epoch(1, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(alone[1][0], helped[0][0])
    assert torch.equal(alone[1][1], helped[0][1])
    assert not torch.equal(alone[0][0][0], alone[0][0][1])


def test_random_boxes_lie_inside_and_cover_allowed_areas() -> None:
    boxes = np.array([random_box(100, 60, Draws(0, 0).generator(index, "crop")) for index in range(300)])
    top, left, height, width = boxes.T
    assert np.all((top >= 0) & (left >= 0) & (top + height <= 60) & (left + width <= 100))
    assert np.all((width / height > 0.7) & (width / height < 1.4))
    assert (height * width).min() < 1000
    assert (height * width).max() > 3500
    assert random_box(1000, 1, Draws(0, 0).generator(0, "crop")) == (0, 499, 1, 1)


def test_class_folders_must_match_the_spec_and_each_other(image_folder: Path) -> None:
    with pytest.raises(DataError, match="should have 3 classes, 2 folders found"):
        open_dataset(DataConfig("image_folder", root=str(image_folder), image_size=8, classes=3))
    (image_folder / "val/dog").rename(image_folder / "val/wolf")
    with pytest.raises(DataError, match="differ in their classes: dog in train/ alone; wolf in val/ alone"):
        open_dataset(folder_config(image_folder))


def test_an_undecodable_image_is_named(image_folder: Path) -> None:
    path = image_folder / "val/cat/0.png"
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=f"{path} cannot be decoded"):
        list(Loader(open_dataset(folder_config(image_folder)).test, 4, seed=0, train=False).epoch(0))


def test_an_empty_class_folder_is_a_data_error(image_folder: Path) -> None:
    for path in (image_folder / "train/cat").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="cat"):
        open_dataset(folder_config(image_folder))


# --- synthetic ---


def synthetic(seed: int = 0) -> DataConfig:
    return DataConfig("synthetic", image_size=10, channels=3, classes=4, samples=400, seed=seed)


def test_synthetic_depends_on_the_seed_alone() -> None:
    first, again, other = (
        next(open_dataset(synthetic(seed)).train.batches([np.arange(9)], None))[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_synthetic_can_be_learned_and_has_a_test_half_of_its_own() -> None:
    splits = open_dataset(synthetic())
    ((train, labels),) = splits.train.batches([np.arange(400)], None)
    ((test, test_labels),) = splits.test.batches([np.arange(len(splits.test))], None)
    means = torch.stack([train[labels == label].float().mean(0) for label in range(4)]).flatten(1)
    assert (torch.cdist(test.float().flatten(1), means).argmin(1) == test_labels).float().mean() > 0.95
    assert len(splits.test) == 100
    assert not torch.equal(train[:100], test)
    assert splits.info.mean == (0.5, 0.5, 0.5)


# --- what is missing or contradictory ---


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10", "svhn", "stl10", "imagenet"])
def test_missing_data_says_where_it_looked_and_what_to_do(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError, match=f"`{dataset}` is not there") as caught:
        open_dataset(DataConfig(dataset, root=str(tmp_path)))
    assert str(tmp_path) in str(caught.value)
    assert any("data.root" in line for line in caught.value.help)
    assert any("data.download=true" in line for line in caught.value.help)


def test_a_relative_root_is_reported_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=str(tmp_path / "data" / "train")):
        open_dataset(DataConfig("image_folder", image_size=8, classes=2))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DataConfig("cifar01"), "unknown data set `cifar01`"),
        (DataConfig("digits", augment="papers"), "unknown augmentation `papers`"),
        (DataConfig("cifar10", classes=100), "`cifar10` has 10 classes, not 100"),
        (DataConfig("mnist", channels=3), "`mnist` has 1 channels, not 3"),
        (DataConfig("digits", samples=7), "`digits` has 1437 samples, not 7"),
        (DataConfig("image_folder", classes=2), "`image_folder` needs `image_size`"),
        (DataConfig("image_folder", image_size=8), "`image_folder` needs `classes`"),
        (DataConfig("image_folder", image_size=8, classes=2, samples=7), "counts its own samples"),
        (DataConfig("image_folder", image_size=8, classes=2, resplit=True), "cannot be split anew"),
        (DataConfig("synthetic", image_size=8, classes=2), "`synthetic` needs `channels`"),
        (DataConfig("synthetic", image_size=8, classes=2, channels=1), "`synthetic` needs `samples`"),
    ],
)
def test_impossible_options(config: DataConfig, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(config)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(DataConfig("fashon_mnist"))
    assert "did you mean `fashion_mnist`?" in caught.value.help[0]


def test_every_data_set_has_its_reader() -> None:
    assert set(sources.__all__) == set(INFO)
