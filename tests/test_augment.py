"""`data.augment` as a list: which names and arguments there are, what they do, and that nobody else's draws matter."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import resize

from runtime.data import DataError, Loader
from runtime.data.decoding import decode
from runtime.data.draws import Draws
from runtime.data.folder import pixels
from runtime.data.opening import open_data
from runtime.data.splits import Split, Splits
from runtime.named import named
from specc.checking import check_text
from specc.plan import Plan
from specc.spec.augmentations import AUGMENTATIONS, Mixing
from specc.spec.dump import dump
from specc.spec.load import loads
from specc.tasks.segmentation import IGNORED

from . import small_data as small
from .documents import Document, compiled, document

SYNTHETIC: Document = {
    "dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 4, "samples": 24, "batch_size": 6,
}  # fmt: skip
SINGLE = {name: kind for name, kind in AUGMENTATIONS.own.items() if not issubclass(kind, Mixing)}
NEEDED: dict[str, Any] = {
    "random_crop": 4, "random_rotation": 30, "random_affine": {"degrees": 10, "translate": [0.2, 0.1], "shear": 5},
    "gaussian_blur": 3, "jpeg": 20, "posterize": 3, "solarize": 128, "adjust_sharpness": 2.0,
    "color_jitter": {"brightness": 0.5, "hue": [-0.1, 0.1]}, "random_erasing": {"scale": [0.1, 0.2]},
    "elastic_transform": {"sigma": 1.0},
}  # fmt: skip
EVERY = [{name: NEEDED.get(name)} if name in NEEDED else name for name in SINGLE]


def plan_of(*augment: Any, **data: Any) -> Plan:
    return compiled(data=SYNTHETIC | {"augment": list(augment)} | data)


def opened(*augment: Any, **data: Any) -> Splits:
    return open_data(plan_of(*augment, **data))


def images(split: Split, batch: int = 6, epoch: int = 0, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    return list(Loader(split, batch, seed=seed, train=True).epoch(epoch))


def found(data: Document, **parts: Any) -> list[str]:
    """The codes and the text at which they point."""
    text = json.dumps(document(data=SYNTHETIC | data, **parts))
    report = check_text(text, "spec.json")
    spans = [(d.code, d.span) for d in report.diagnostics if d.is_error]
    return [f"{code}: {text[span.column - 1 : span.end_column - 1]}" for code, span in spans if span]


# -- names and arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SINGLE)
def test_arguments_and_their_defaults_are_those_of_torchvision(name: str) -> None:
    kind = SINGLE[name]
    known = inspect.signature(named(kind.torch, name)).parameters
    assert kind.model_fields.keys() <= known.keys()
    for key, field in kind.model_fields.items():
        if (name, key) in (("random_crop", "padding"), ("random_erasing", "value")):
            continue  # without the one nothing is cropped; the other is put there before the normalisation
        default = known[key].default
        given = inspect.Parameter.empty if field.is_required() else field.default
        plain = getattr(default, "value", default)
        assert given == (list(plain) if isinstance(plain, tuple) else plain), key


def test_every_augmentation_is_described() -> None:
    for kind in AUGMENTATIONS.own.values():
        assert kind.__doc__
        assert kind.bare in ("", *kind.model_fields)


def test_a_name_alone_one_argument_and_all_of_them_say_the_same() -> None:
    ways = [["horizontal_flip"], [{"horizontal_flip": None}], [{"horizontal_flip": 0.5}], [{"horizontal_flip": {}}]]
    configs = [plan_of(*way).config for way in ways]
    assert all(config.data.augmentations == configs[0].data.augmentations for config in configs)
    assert plan_of({"mixup": 0.2}).config == plan_of({"mixup": {"alpha": 0.2}}).config


def test_the_resolved_spec_and_the_plan_say_it_again() -> None:
    plan = plan_of(*EVERY, {"cutmix": 0.3})
    assert loads(dump(plan.config)).config == plan.config
    assert Plan.from_json(plan.to_json()).config == plan.config


MISTAKES: dict[str, tuple[Any, str]] = {
    "a misspelt name alone": (["horizontal_flp"], 'SPC105: "horizontal_flp"'),
    "a misspelt name with arguments": ([{"mixupp": 0.2}], 'SPC101: "mixupp"'),
    "a misspelt argument": ([{"random_crop": {"paddding": 4}}], 'SPC101: "paddding"'),
    "a missing argument": (["random_rotation"], 'SPC102: "random_rotation"'),
    "a text for a number": ([{"mixup": "fast"}], 'SPC103: "fast"'),
    "a text in an argument": ([{"random_crop": {"padding": 4, "fill": "w"}}], 'SPC103: "w"'),
    "a number out of range": ([{"horizontal_flip": 1.5}], "SPC104: 1.5"),
    "a range that is empty": ([{"color_jitter": {"hue": [0.2, 0.1]}}], "SPC104: [0.2, 0.1]"),
    "an even kernel": ([{"gaussian_blur": {"kernel_size": 4}}], "SPC104: 4"),
    "two in one item": ([{"mixup": 0.2, "cutmix": 1.0}], "SPC107: 1.0"),
    "an empty list": ([], "SPC110: []"),
    "a policy that nobody searched": ([{"auto_augment": "mnist"}], 'SPC105: "mnist"'),
    "a level that there is not": ([{"rand_augment": {"magnitude": 40}}], "SPC104: 40"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_where_it_stands(mistake: str) -> None:
    augment, told = MISTAKES[mistake]
    assert told in found({"augment": augment})


def test_a_misspelt_name_answers_with_the_nearest_one() -> None:
    text = json.dumps(document(data=SYNTHETIC | {"augment": ["random_horizontal_flip", {"cutout": {}}]}))
    help = [line for d in check_text(text).diagnostics for line in d.help]
    assert "did you mean `horizontal_flip`?" in help
    assert "did you mean `random_erasing`?" in help


def test_what_is_not_defined_for_the_images_is_refused() -> None:
    assert found({"channels": 2, "augment": ["color_jitter"]}) == ['SPC660: "color_jitter"']
    assert found({"channels": 2, "augment": ["horizontal_flip", "equalize"]}) == []
    assert found({"augment": [{"random_crop": {"padding": 1, "fill": [1, 2]}}]}) == ["SPC603: [1, 2]"]
    network = {"layers": [{"name": "conv", "op": "conv", "out": 4}]}
    masked: Document = {"task": "segmentation", "backbone": network, "split": {"blocks": 1}, "auxiliary": {}}
    assert found({"augment": ["trivial_augment", "mixup"]}, **masked) == [
        'SPC660: "trivial_augment"', 'SPC660: "mixup"',
    ]  # fmt: skip


def test_what_torchvision_cannot_do_is_said_before_the_first_step() -> None:
    with pytest.raises(
        DataError, match=r"`elastic_transform` of `data.augment` cannot be done to images of \(3, 16, 16\)"
    ):
        opened("elastic_transform")  # its smoothing is wider than the images


PAGE = (Path(__file__).parent.parent / "docs" / "augmentation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("section", re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_the_lists_of_the_page_are_right(section: str) -> None:
    report = check_text(f"specc: 1\nname: page\nbackbone: {{family: resnet_cifar, depth: 8}}\n{section}")
    assert report.diagnostics == ()


# -- what is done -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SINGLE)
def test_every_augmentation_gives_images_of_the_same_kind(name: str) -> None:
    item = {name: NEEDED.get(name)}
    split = opened(item, item, item).train
    ((plain, _),) = split.batches([np.arange(24)], None)
    ((changed, labels),) = split.batches([np.arange(24)], Draws(0, 0))
    assert (changed.dtype, changed.shape) == (torch.uint8, plain.shape)
    assert not torch.equal(changed, plain)
    assert labels.dtype == torch.int64


def test_what_it_does_is_what_torchvision_does() -> None:
    """With the seed of the sample."""
    draws, split = Draws(0, 3), opened({"random_crop": 4}, "horizontal_flip").train
    ((plain, _),) = split.batches([np.array([5])], None)
    ((changed, _),) = split.batches([np.array([5])], draws)
    torch.manual_seed(int(draws.bits(np.array([5]), "augment")[0]))
    assert torch.equal(v2.Compose([v2.RandomCrop(16, padding=4), v2.RandomHorizontalFlip()])(plain[0]), changed[0])


def test_erasing_leaves_the_mean() -> None:
    split = opened({"random_erasing": {"p": 1.0}}, mean=[0.2, 0.4, 0.6], std=[1.0, 1.0, 1.0]).train
    batch, _ = images(split)[0]
    for channel in range(3):
        assert (batch[:, channel].abs() < 1 / 255).flatten(1).sum(1).min() >= 0.02 * 16 * 16 - 3


def test_bytes_of_another_white_stay_what_they_are() -> None:
    """scikit-learn's digits have their white at 240."""
    data = {"dataset": "digits", "batch_size": 32}
    plain, same = (open_data(compiled(data=data | {"augment": augment})).train for augment in ("none", ["invert"]))
    ((before, _),), ((after, _),) = (split.batches([np.arange(32)], Draws(0, 0)) for split in (plain, same))
    kept = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    inverted = [torch.equal(240 - a, b) for a, b in zip(before, after, strict=True)]
    assert all(a != b for a, b in zip(kept, inverted, strict=True))
    assert any(inverted)


# -- draws --------------------------------------------------------------------------------------------------------

FLIPS: tuple[Any, ...] = ({"random_crop": 4}, "horizontal_flip", "trivial_augment", {"mixup": 0.4}, {"cutmix": 1.0})


def test_draws_depend_on_seed_epoch_and_sample_alone() -> None:
    split = opened(*FLIPS[:3]).train
    torch.manual_seed(3)
    first, again = (images(split, 24)[0][0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first[:12], images(split, 12)[0][0]), "the rest of the batch"
    for other in (images(split, 24, epoch=1), images(split, 24, seed=1)):
        assert not torch.equal(brightness(first), brightness(other[0][0]))


def brightness(batch: Tensor) -> Tensor:
    """Of all images, whatever their order."""
    return batch.sum((1, 2, 3)).sort().values


def test_nobody_else_draws_otherwise_for_it() -> None:
    split = opened(*FLIPS).train
    torch.manual_seed(7)
    before = torch.get_rng_state()
    images(split)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_that_is_begun_late_goes_on_as_it_would_have() -> None:
    loader = Loader(opened(*FLIPS).train, 6, seed=0, train=True)
    whole, rest = list(loader.epoch(2)), list(loader.epoch(2, 2))
    for (a, b), (c, d) in zip(whole[2:], rest, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_evaluation_is_of_images_as_they_are() -> None:
    plain, mixed = opened("horizontal_flip", validation=6), opened(*FLIPS, validation=6)
    for name in ("test", "validation"):
        pairs = [next(Loader(getattr(splits, name), 6, seed=0, train=False).epoch(0)) for splits in (plain, mixed)]
        assert torch.equal(pairs[0][0], pairs[1][0])
        assert pairs[1][1].dtype == torch.int64
    assert len(mixed.train) == 18


# -- files --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.put(tmp_path_factory.mktemp("data"), small.image_folder())


def of_folder(root: Path, *augment: Any, workers: int = 0) -> Split:
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "batch_size": 4, "classes": 2}
    return open_data(compiled(data=data | {"augment": list(augment), "workers": workers})).train


def test_workers_draw_what_the_run_itself_would(root: Path) -> None:
    alone, helped = (images(of_folder(root, *FLIPS, workers=workers), 4) for workers in (0, 2))
    for (a, b), (c, d) in zip(alone, helped, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


@pytest.mark.parametrize("task", ["classification", "multi_label"])
def test_workers_help_with_what_lies_in_memory(task: str) -> None:
    parts: Document = {"task": task, "split": {"blocks": 1}}
    alone, helped = (
        images(open_data(compiled(data=SYNTHETIC | {"augment": list(FLIPS), "workers": workers}, **parts)).train)
        for workers in (0, 2)
    )
    for (a, b), (c, d) in zip(alone, helped, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    assert open_data(compiled(data=SYNTHETIC | {"workers": 2})).train.workers == 0


def test_workers_without_anything_to_do_are_spoken_of() -> None:
    for augment, codes in (("paper", ["SPC108"]), (["horizontal_flip"], [])):
        report = check_text(json.dumps(document(data=SYNTHETIC | {"workers": 2, "augment": augment})))
        assert [found.code for found in report.diagnostics] == codes


def test_images_are_first_brought_to_their_size_unless_a_crop_does(root: Path) -> None:
    ((plain, _),) = of_folder(root, "horizontal_flip").batches([np.arange(4)], None)
    ((flipped, _),) = of_folder(root, {"horizontal_flip": 1.0}).batches([np.arange(4)], Draws(0, 0))
    assert torch.equal(flipped, plain.flip(-1))
    item = {"random_resized_crop": {"scale": [1.0, 1.0], "ratio": [10 / 12, 10 / 12]}}
    ((whole, _),) = of_folder(root, item).batches([np.arange(4)], Draws(0, 0))
    file = pixels(decode(str(root / "train/cat/0.png"), 3))
    assert file.shape == (3, 12, 10)
    assert torch.equal(whole[0], resize(file, [8, 8]))


MASKED = [
    {"random_crop": 2}, "horizontal_flip", "vertical_flip", {"random_affine": {"degrees": 20}}, "random_perspective",
    {"random_rotation": 20}, {"random_resized_crop": {"scale": [0.5, 1.0]}},
]  # fmt: skip


@pytest.mark.parametrize("item", MASKED, ids=str)
def test_masks_go_where_their_images_go(item: Any, tmp_path: Path) -> None:
    """The image shows its mask: each class is a grey of its own."""
    truth = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((8, 8), dtype=np.uint8))
    grey = np.repeat((60 * truth + 20)[:, :, None], 3, 2)
    places = [(half, i) for half in ("train", "val") for i in range(4)]
    files = {f"{half}/images/{i}.png": small.png(grey) for half, i in places}
    root = small.put(tmp_path, files | {f"{half}/masks/{i}.png": small.png(truth) for half, i in places})
    data = {"dataset": "mask_folder", "root": str(root), "image_size": 16, "classes": 4, "batch_size": 4}
    layers = [{"name": "conv", "op": "conv", "out": 4}]
    plan = compiled(
        task="segmentation", data=data | {"augment": [item, {"gaussian_blur": 1}]}, backbone={"layers": layers},
        split={"blocks": 1}, auxiliary={},
    )  # fmt: skip
    split = open_data(plan).train
    ((shades, masks),) = split.batches([np.arange(4)], Draws(0, 1))
    counted = masks != IGNORED
    assert (masks.dtype, masks.shape) == (torch.uint8, (4, 16, 16))
    shown = ((shades[:, 0].double() - 20) / 60).round()
    agreeing = (shown == masks)[counted].double().mean()
    assert agreeing > 0.9, "but for the edges, where an image is interpolated and a mask is not"
    assert bool((masks != torch.from_numpy(truth)).any())
    from_outside = next(iter(item)) if isinstance(item, dict) else item
    inside = from_outside in ("horizontal_flip", "vertical_flip", "random_resized_crop")
    assert bool(counted.all()) == inside, "what comes in from outside is of no class"


@pytest.mark.parametrize("name", [*SINGLE, "mixup", "cutmix"])
def test_pictures_of_16_bits_are_changed_as_those_of_8(name: str, tmp_path: Path) -> None:
    """They are numbers in 0..1 by then, and keep their levels."""
    sides, shades = (16, 16), small.pixels(4, 16, 16)
    places = [(half, kind, i) for half in ("train", "val") for i, kind in enumerate(("cat", "dog"))]
    batches = []
    for bits, pictures in ((8, shades), (16, shades.astype(np.uint16) * 257)):
        files = {f"{half}/{kind}/{i}.png": small.png(pictures[i]) for half, kind, i in places}
        root = small.put(tmp_path / str(bits), files)
        data = {"dataset": "image_folder", "root": str(root), "image_size": sides, "batch_size": 2, "classes": 2}
        item = {name: NEEDED.get(name)}
        split = open_data(compiled(data=data | {"channels": 1, "augment": [{"vertical_flip": 1.0}, item]})).train
        ((images, _),) = split.batches([np.arange(2)], Draws(0, 2))
        batches.append(images)
    assert (batches[0].dtype, batches[1].dtype) == (torch.uint8, torch.float32)
    away = (batches[0] / 255 - batches[1]).abs()
    assert float(away.mean()) < 0.02
