"""Data sets and loaders of torch that are handed over from Python: asked, trained on, judged and gone on with."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)

import runtime
import specc
from runtime import Session
from runtime.data import DataConfig, Loader
from runtime.data.own.handed import handing
from runtime.data.sources import given
from runtime.errors import RunError
from specc.diagnostics import SpecError
from specc.spec.load import Spec, loads

from .documents import Document


def spec(**parts: Any) -> Spec:
    document: Document = {
        "specc": 1, "name": "handed", "data": {"batch_size": 4, "classes": 3, **parts.pop("data", {})},
        "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]}, "split": {"blocks": 2},
        "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.01}},
    }  # fmt: skip
    return loads(json.dumps(document | parts))


def tensors(size: int = 12) -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    return TensorDataset(torch.rand(size, 1, 8, 12, generator=draw) - 0.5, torch.arange(size) % 3)


def test_a_plan_is_of_the_data_that_were_asked_whichever_the_spec_names() -> None:
    facts = runtime.ask((tensors(), tensors(6)))
    plan = specc.compile(spec(data={"dataset": "cifar10", "classes": 3}), data=facts)
    assert (plan.data.name, plan.data.shape, plan.data.train_size, plan.data.test_size) == ("given", (1, 8, 12), 12, 6)
    images, labels = zip(*[tensors()[i] for i in range(4)], strict=True)
    Session(plan).train_step(torch.stack(images), torch.stack(labels))


def test_numbers_of_ones_own_come_to_the_network_as_they_are() -> None:
    """Only bytes are scaled and normalised, unless the spec says how."""
    plan = specc.compile(spec(), data=runtime.ask(tensors()))
    with handing(tensors()):
        splits = given(DataConfig("given"), plan.data)
    ((images, labels),) = Loader(splits.train, 12, seed=0, train=False).epoch(0)
    assert torch.equal(images, tensors().tensors[0])
    assert torch.equal(labels, tensors().tensors[1])


def test_a_run_is_trained_judged_and_gone_on_with_on_what_is_handed_over(tmp_path: Path) -> None:
    data = {"train": tensors(), "val": tensors(6), "test": None}
    folder = runtime.train(spec(), data, device="cpu", folder=tmp_path / "run")
    told = runtime.evaluate(folder, data)
    assert (told["on"], told["samples"]) == ("validation", 6)
    with pytest.raises(RunError, match="handed over from Python, and nobody does"):
        runtime.evaluate(folder)
    runtime.resume(folder, data, overrides=["train.epochs=2"])
    assert json.loads((folder / "summary.json").read_text("utf-8"))["epochs"] == 2


def test_a_loader_says_how_many_images_a_step_takes_and_puts_them_together_itself(tmp_path: Path) -> None:
    asked: list[int] = []

    def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        asked.append(len(samples))
        images, labels = zip(*samples, strict=True)
        return torch.stack(images).mul(2), torch.stack(labels)

    document = spec()
    document = document.with_config(document.config.changed("data", batch_size=4))
    bare = loads(
        json.dumps({"specc": 1, "name": "handed", "data": {"classes": 3}, "backbone": {"family": "resnet_cifar"}})
    )
    loader = DataLoader(tensors(), batch_size=3, shuffle=True, collate_fn=collate)
    assert specc.compile(bare, data=runtime.ask(loader)).batch == 3
    asked.clear()
    runtime.train(document, {"train": loader, "test": tensors(6)}, device="cpu", folder=tmp_path / "run")
    assert asked.count(4) == 3


def test_three_data_sets_are_to_train_to_validate_and_to_test() -> None:
    facts = runtime.ask((tensors(12), tensors(9), tensors(6)))
    assert (facts.train_size, facts.validation_size, facts.test_size) == (12, 9, 6)


class Drawing(Dataset[Any]):
    """Draws by each of the three hands that people have."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        drawn = [random.random(), np.random.random(), float(torch.rand(()))]
        return torch.tensor(drawn).view(1, 1, 3).expand(1, 8, 3), index


def test_draws_follow_from_the_seed_and_leave_all_others_draws_alone() -> None:
    plan = specc.compile(spec(), data=runtime.ask(Drawing()))
    made, after = [], []
    with handing(Drawing()):
        splits = given(DataConfig("given"), plan.data)
    for seed in (0, 0, 1):
        for each in (random.seed, np.random.seed, torch.manual_seed):
            each(5)
        ((images, _),) = Loader(splits.train, 3, seed=seed, train=True).epoch(0)
        made.append(images[:, 0, 0])
        after.append((random.random(), np.random.random(), float(torch.rand(()))))
    assert torch.equal(made[0], made[1])
    assert bool((made[0] != made[2]).all())
    assert len(set(after)) == 1
    assert len(made[0].unique()) == 9


class Noisy(Dataset[Any]):
    """Draws the first number of every sample anew; the second one says which process made it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        worker = get_worker_info()
        return torch.cat(
            [torch.rand(1, 4, 8), torch.full((1, 4, 8), -1.0 if worker is None else worker.id)], 1
        ), index % 3


def put_together(samples: list[Any]) -> Any:
    images, labels = zip(*samples, strict=True)
    return torch.stack(images), torch.tensor(labels)


@pytest.mark.parametrize("together", [None, put_together])
def test_a_loaders_workers_make_the_samples_that_it_makes_without_them(together: Any) -> None:
    made, processes = [], []
    for workers in (0, 2):
        data = DataLoader(Noisy(), 2, num_workers=workers, collate_fn=together)
        plan = specc.compile(spec(), data=runtime.ask(data))
        with handing(data):
            splits = given(DataConfig("given"), plan.data)
        batches = [images for images, _ in Loader(splits.train, 4, seed=0, train=True).epoch(0)]
        made.append(torch.cat(batches)[:, :, :4])
        processes.append({float(image[0, 4, 0]) for image in torch.cat(batches)})
    assert torch.equal(*made)
    assert processes == [{-1.0}, {0.0, 1.0}]


class Stream(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(range(3))


class Late(Dataset[Any]):
    """The fourth sample raises."""

    classes = ("a", "b", "c")

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise ValueError("worn out")
        return torch.zeros(1, 8, 8), index % 3


class Unnamed:
    """Not a data set at all."""


REFUSED: dict[str, tuple[Any, str]] = {
    "a stream": (Stream(), "a Stream, cannot be asked for sample i"),
    "no data set": (Unnamed(), "an? Unnamed, cannot be asked for sample i"),
    "a sampler": (DataLoader(tensors(), sampler=WeightedRandomSampler([1.0] * 12, 12)), "WeightedRandomSampler"),
    "four": ((tensors(),) * 4, "gives 4 data sets"),
    "another name": ({"train": tensors(), "dev": tensors()}, "gives a data set for `dev`"),
    "nothing to train on": ({"test": tensors()}, "no data set to train on"),
    "no samples": (Subset(tensors(), []), "has no samples"),
    "parts that differ": ((tensors(), TensorDataset(torch.zeros(2, 3, 8, 8), torch.zeros(2).long())),
                          "the first of the test data 3×8×8 floats"),
    "labels of halves": (TensorDataset(torch.zeros(4, 1, 8, 8)), "a tuple of 1, and no image with what is known of it"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_on_is_refused_in_words(name: str) -> None:
    data, text = REFUSED[name]
    with pytest.raises(RunError, match=text):
        runtime.ask(data)


def test_an_exception_of_a_sample_ends_the_run_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"sample 3 of the training data \(handed over\) raises ValueError: worn out"):
        runtime.train(spec(), (Late(), Late()), device="cpu", folder=tmp_path / "run")


def test_numbers_that_are_infinite_end_the_run(tmp_path: Path) -> None:
    images = torch.rand(8, 1, 8, 8)
    images[5, 0, 3] = torch.inf
    with pytest.raises(
        RunError, match=r"sample 5 of the training data \(handed over\) has numbers in its image that are"
    ):
        runtime.train(spec(), TensorDataset(images, torch.arange(8) % 3), device="cpu", folder=tmp_path / "run")


def test_class_names_are_those_of_the_data_set_and_contradictions_are_located() -> None:
    assert runtime.ask(Late()).class_names == ("a", "b", "c")
    with pytest.raises(SpecError) as raised:
        specc.compile(spec(data={"classes": 4}), data=runtime.ask(Late()))
    (found,) = raised.value.diagnostics
    assert (found.code, found.span is not None) == ("SPC602", True)


JITTER: Document = {"color_jitter": {"brightness": 0.3}}
CONTRADICTIONS: dict[str, tuple[Document, str, str]] = {
    "paper": ({"data": {"augment": "paper"}}, "SPC660", "no paper has code"),
    "colours": ({"data": {"augment": ["horizontal_flip", JITTER]}}, "SPC660", "color_jitter"),
    "decoder": ({"auxiliary": {"classifier": {}, "reconstruction": {}}}, "SPC609", "from 0 to 1"),
    "nobody hands it": ({"data": {"dataset": "given"}}, "SPC608", "nobody does"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_such_numbers_cannot_be_asked_for_is_located(name: str) -> None:
    parts, code, text = CONTRADICTIONS[name]
    with pytest.raises(SpecError) as raised:
        specc.compile(spec(**parts), data=None if name.startswith("nobody") else runtime.ask(tensors()))
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert text in found.message
    assert found.span is not None
