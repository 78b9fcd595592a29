"""Data sets whose samples are several inputs: asked of the first one, packed, trained on, refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate

import runtime
import specc
from runtime.data import DataConfig
from runtime.data.errors import DataError
from runtime.data.own.handed import handing
from runtime.data.own.sets import sets_of
from runtime.data.own.split import OwnSplit
from runtime.data.sources import given
from runtime.export.writing import export
from specc.diagnostics import SpecError
from specc.tasks.inputs import EXACT, Part
from specc.tasks.registry import TASKS

CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.table = nn.Embedding(1000, 4)
        self.head = nn.Linear(4 + 4 + 2, classes)

    def forward(self, image, ids, known):
        return self.head(torch.cat([self.stem(image).mean((2, 3)), self.table(ids).mean(1), known], 1))


class Samples(torch.utils.data.Dataset):
    classes = ["a", "b"]

    def __init__(self, count, seed):
        self.count, self.seed = count, seed

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if i >= self.count:
            raise IndexError(i)
        drawn = torch.Generator().manual_seed(100 * self.seed + i)
        ids = torch.randint(500, (3,), generator=drawn) + 500 * (i % 2)
        image, known = torch.rand(1, 4, 4, generator=drawn), torch.rand(2, generator=drawn)
        return {"image": image, "ids": ids, "known": known}, i % 2


def sets():
    return Samples(24, 0), Samples(8, 1)
"""
PARTS = (Part("image", (1, 4, 4)), Part("ids", (3,), "int64"), Part("known", (2,)))
REST: dict[str, Any] = {
    "split": {"after": ["stem"]}, "auxiliary": {"classifier": {"layers": "1c1f"}},
    "train": {"epochs": 2, "optimizer": {"name": "adamw", "lr": 0.05}},
}  # fmt: skip


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "code.py"
    file.write_text(CODE)
    return file


class Listed(Dataset[Any]):
    def __init__(self, *samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


@pytest.mark.parametrize(
    ("inputs", "parts"),
    [
        ((torch.rand(3, 4, 4), torch.rand(5)), (Part("", (3, 4, 4)), Part("", (5,)))),
        ([np.zeros((4, 2)), 7, True], (Part("", (4, 2)), Part("", (), "int64"), Part("", (), "bool"))),
        ({"x": torch.zeros(4, dtype=torch.int32), "age": 0.5}, (Part("x", (4,), "int64"), Part("age", ()))),
    ],
)  # fmt: skip
def test_the_first_sample_says_what_the_inputs_are(inputs: Any, parts: Any) -> None:
    found = runtime.ask(Listed((inputs, 1), (inputs, 0)))
    assert (found.parts, found.shape, found.kinds) == (parts, (sum(part.length for part in parts),), ("class",))


def test_what_a_tokenizer_gives_is_inputs_by_their_names() -> None:
    sample = {"input_ids": [5, 6, 0], "attention_mask": [1, 1, 0], "labels": 1}
    assert runtime.ask(Listed(sample)).parts == (
        Part("input_ids", (3,), "int64"),
        Part("attention_mask", (3,), "int64"),
    )


def test_a_run_trains_on_them_and_its_network_is_the_users(code: Path, tmp_path: Path) -> None:
    """What the run says of its test set is what the user's own code says with the weights that it takes home."""
    spec = {"data": {"module": f"{code}:sets", "batch_size": 6}, "backbone": {"module": f"{code}:Net"}, **REST}
    plan = specc.compile(spec)
    assert (plan.data.parts, plan.data.class_names) == (PARTS, ("a", "b"))
    folder = runtime.train(spec, device="cpu", folder=tmp_path / "run")
    found = runtime.evaluate(folder, device="cpu")
    export(folder, "module", tmp_path / "net.safetensors", None, "last")
    names: dict[str, Any] = {}
    exec(CODE, names)
    net = names["Net"](2)
    net.load_state_dict(load_file(tmp_path / "net.safetensors"), strict=True)
    inputs, labels = next(iter(DataLoader(names["sets"]()[1], 8)))
    right = (net.eval()(**inputs).argmax(1) == labels).double().mean()
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(net(**inputs), labels))
    assert found["metrics"] == pytest.approx({"accuracy": float(right), "loss": loss}, rel=1e-4)
    local = runtime.wrap(names["Net"](2), spec)  # which knows the inputs
    assert local.plan.data.parts == PARTS
    local.training_step(inputs, labels)


def test_other_data_than_were_planned_for_are_refused() -> None:
    planned = runtime.ask(Listed(GOOD)).resolved("given", "class", classes=2)
    with handing(Listed(((torch.rand(2, 3), torch.rand(2)), 0))), pytest.raises(DataError) as caught:
        given(DataConfig("given"), planned)
    has, had = "2×3 floats, 2 floats", "2×3 floats, 2 whole numbers"
    assert f"other samples than were planned for: {has}, and not {had}" in str(caught.value)


def test_networks_of_one_input_refuse_them_where_the_spec_names_them(code: Path) -> None:
    spec = {"data": {"module": f"{code}:sets"}, "backbone": {"family": "resnet_cifar"}}
    with pytest.raises(SpecError, match="the network takes one input, and the data set's samples are `image` 1×4×4"):
        specc.compile(spec)
    with pytest.raises(SpecError, match="the network takes one input") as caught:
        specc.compile({**spec, "backbone": {"torchvision": "resnet18"}})
    assert [d.code for d in caught.value.diagnostics] == ["SPC301"]


GOOD = ((torch.rand(2, 3), torch.tensor([1, 2])), 0)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (((torch.rand(2, 4), torch.tensor([1, 2])), 0), "a sample of input 0 is of 2×4, and was planned to be of 2×3"),
        (((torch.rand(2, 3),), 0), "1 input for a network that takes 2"),
        ((torch.rand(3, 2, 3), 0), "has one input, and was planned to have 2×3 floats, 2 whole numbers"),
        (((torch.rand(2, 3), torch.tensor([1, EXACT + 1])), 0), "input 1 has whole numbers beyond 16,777,216"),
        (((torch.full((2, 3), torch.nan), torch.tensor([1, 2])), 0), "numbers in its inputs that are infinite"),
        (((torch.rand(2, 3), torch.tensor([1.0, 2.0])), 0), "input 1 has floats, and was planned to have whole"),
        (((torch.rand(2, 3), torch.tensor([1, 2])), 7), "has the label 7, and labels are 0 to 1"),
        (((torch.rand(2, 3), "word"), 0), "has a str as input 1"),
        (((torch.zeros(2, 3, dtype=torch.uint8), torch.tensor([1, 2])), 0), "has bytes as input 0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("collate", [False, True])
def test_a_sample_that_is_unlike_the_first_is_told_with_its_number(sample: Any, said: str, collate: bool) -> None:
    samples: Any = Listed(GOOD, GOOD, sample)
    data = DataLoader(samples, 2, collate_fn=lambda each: default_collate(each)) if collate else samples
    info = runtime.ask(data).resolved("given", "class", classes=2)
    split = OwnSplit(info, sets_of(data, "handed over").parts[0], TASKS["classification"], info.shape, 255, 0)
    ((images, labels),) = split.batches([np.array([0, 1])], None)
    assert images[0].tolist() == [*GOOD[0][0].flatten().tolist(), 1.0, 2.0]
    assert (tuple(images.shape), images.dtype, labels.tolist()) == ((2, 8), torch.float32, [0, 0])
    with pytest.raises(DataError) as caught:
        list(split.batches([np.array([2])], None))
    assert str(caught.value).startswith("sample 2 of the training data (handed over) ")
    assert said in str(caught.value)
