"""Texts: what is asked of their data, what makes no sense for them, and runs of them from a spec to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime.data.config import DataConfig
from runtime.data.opening import open_dataset
from specc.checking import check_text

from .checkpoints import newest
from .commands import specc
from .documents import Document

DATA: Document = {
    "dataset": "synthetic", "length": 12, "vocabulary": 20, "classes": 3, "samples": 24, "batch_size": 4
}  # fmt: skip
LAYERS: list[Document] = [
    {"name": "words", "op": "embedding", "out": 8, "rows": 20},
    {"name": "mix", "op": "transformer_block", "heads": 2, "mlp": 8},
    {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 3},
]  # fmt: skip


def document(data: Document | None = None, **parts: Any) -> str:
    spec: Document = {
        "specc": 1, "name": "texts", "task": "text_classification", "data": DATA if data is None else data,
        "backbone": {"layers": LAYERS}, "split": {"after": ["words"]},
    }  # fmt: skip
    return json.dumps(spec | parts)


WRONG: dict[str, tuple[Document, dict[str, Any], str, str]] = {
    "no length": ({**DATA, "length": None}, {}, "SPC601", "needs `length`"),
    "no vocabulary": ({**DATA, "vocabulary": None}, {}, "SPC601", "needs `vocabulary`"),
    "a size": ({**DATA, "image_size": 8}, {}, "SPC602", "of texts, for which there is no `image_size`"),
    "channels": ({**DATA, "channels": 1}, {}, "SPC602", "no `channels`"),
    "a mean": ({**DATA, "mean": [0.5]}, {}, "SPC602", "no `mean`"),
    "split anew": ({**DATA, "resplit": True}, {}, "SPC602", "no `resplit`"),
    "a length of images": (DATA, {"task": "classification"}, "SPC602", "of no texts, for which there is no `length`"),
    "data of images": ({"dataset": "digits"}, {}, "SPC606", "which the data set `digits` does not have"),
    "paper": ({**DATA, "augment": "paper"}, {}, "SPC660", "are no images"),
    "augmented": ({**DATA, "augment": ["horizontal_flip"]}, {}, "SPC660", "are no images"),
    "mixed": ({**DATA, "augment": [{"mixup": 0.2}]}, {}, "SPC660", "are no images"),
    "a small table": ({**DATA, "vocabulary": 21}, {}, "SPC302", "has 20 rows, and `input` gives integers from 0 to 20"),
    "a net of images": (DATA, {"backbone": {"family": "vgg"}}, "SPC301", "tokens of a text are whole numbers"),
    "reconstruction": (DATA, {"auxiliary": {"decoder": {}}}, "SPC410", "the tokens of a text are no pixels"),
    "labels in": (DATA, {"auxiliary": {"goodness": {"negatives": "images"}}}, "SPC410", "of a text are none"),
    "channels last": (DATA, {"train": {"memory_format": "channels_last"}}, "SPC108", "defined for images"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_for_texts_is_said_at_its_place(name: str) -> None:
    data, parts, code, says = WRONG[name]
    found = [d for d in check_text(document(data, **parts)).diagnostics if d.code == code]
    assert found, [(d.code, d.message) for d in check_text(document(data, **parts)).diagnostics]
    assert says in found[0].message
    assert found[0].span is not None


NO_PICTURE = "a decoder restores images, and the tokens of a text are no pixels"
SPOKEN: dict[str, tuple[list[str], str]] = {
    "rates": (["fit", "spec.yaml", "--budget", "8MiB", "--rivals", "--device-profile", "rtx3090"], "texts/s"),
    "FLOPs": (["compare", "spec.yaml", "again.yaml", "--device-profile", "rtx3090"], "GFLOPs a text"),
    "layouts": (["plan", "spec.yaml", "--devices", "2", "--device-profile", "l4", "--bandwidth", "9GB/s"], "texts/s"),
    "slices": (["plan", "spec.yaml", "train.micro_batches=9"], "- texts a step"),
    "copies": (["plan", "spec.yaml", "devices.data_parallel=9"], "- texts a step"),
    "statistics": (["plan", "normed.yaml", "train.micro_batches=2"], "the statistics of a slice, of 2 texts"),
    "one value": (["plan", "normed.yaml", "data.batch_size=1"], "one value a channel: one text"),
    "validation": (["plan", "spec.yaml", "data.validation=24"], "of 24 training samples leaves none"),
    "stopping": (["plan", "spec.yaml", "train.early_stopping.patience=2"], "there are no texts for validation"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOKEN)
def test_texts_are_never_called_images(name: str, tmp_path: Path) -> None:
    normed = [*LAYERS[:-1], {"name": "norm", "op": "batch_norm"}, LAYERS[-1]]
    (tmp_path / "spec.yaml").write_text(document())
    (tmp_path / "again.yaml").write_text(document(name="again"))
    (tmp_path / "normed.yaml").write_text(document(backbone={"layers": normed}))
    words, says = SPOKEN[name]
    done = specc(*words, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert says in said, said
    assert "image" not in said.replace(NO_PICTURE, "")


def test_made_up_texts_have_the_tokens_of_a_vocabulary_and_padding_behind() -> None:
    """The same for a seed; the classes differ in which tokens are frequent."""
    facts = {key: value for key, value in DATA.items() if key != "samples"}
    config = DataConfig(**facts, samples=300, task="text_classification")
    (tokens, labels), (again, _) = (next(open_dataset(config).train.batches([np.arange(300)], None)) for _ in range(2))
    assert (tokens.shape, str(tokens.dtype), int(tokens.min()), int(tokens.max())) == ((300, 12), "torch.int64", 0, 19)
    assert bool((tokens == again).all())
    padded = (tokens == 0).int()
    assert bool((padded.diff(dim=1) >= 0).all())
    assert 0 < int(padded.sum(1).max()) <= 6
    own = [((tokens[labels == label] - 1) % 3 == label).float().mean().item() for label in range(3)]
    assert min(own) > 0.4


def test_a_run_of_texts_goes_on_as_if_nobody_had_stopped_it(tmp_path: Path) -> None:
    """By real files, up to what is exported of it; a file of pixels is no text."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(document(train={"epochs": 2}))
    for run, epochs in (("whole", 2), ("parts", 1)):
        done = specc("run", spec, f"train.epochs={epochs}", "--run-dir", run, "--device", "cpu", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = specc("resume", "parts", "train.epochs=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    weights = [newest(tmp_path / run) / "model.safetensors" for run in ("whole", "parts")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    for kind, name in (("safetensors", "a.safetensors"), ("torch_export", "a.pt2")):
        done = specc("export", "whole", "--to", kind, "-o", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    program = torch.export.load(tmp_path / "a.pt2").module()
    assert program(torch.randint(20, (5, 12))).shape == (5, 3)
    refused = specc("predict", "whole", "picture.png", cwd=tmp_path)
    assert (refused.returncode, "is of tokens, and files hold images" in refused.stderr) == (3, True)


REVIEWS = """
class Reviews:
    classes = ["bad", "good"]

    def __init__(self, token=3, length=4):
        self.token, self.length = token, length

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return {"input_ids": [i, self.token if i == 5 else 1, 0, 0][: self.length if i == 6 else 4], "label": i % 2}


def make(**args):
    return Reviews(**args), Reviews()
"""


@pytest.mark.parametrize(
    ("args", "task", "code", "says"),
    [
        ({}, "text_classification", 0, "texts a second"),
        (
            {"token": 9},
            "text_classification",
            3,
            "sample 5 of the training data (`make` of reviews.py) has the token",
        ),
        ({"length": 3}, "text_classification", 3, "has 3 numbers in int64, and was planned to have 4 tokens"),
        ({}, "classification", 1, "`task: text_classification` learns one class a text"),
    ],
)
def test_texts_of_own_code_are_checked_one_by_one(
    args: Document, task: str, code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "reviews.py").write_text(REVIEWS)
    data = {"module": "reviews.py:make", "args": args, "vocabulary": 9, "batch_size": 4}
    layers = [LAYERS[0] | {"rows": 9}, *LAYERS[1:-1], LAYERS[-1] | {"out": 2}]
    spec = tmp_path / "spec.yaml"
    spec.write_text(document(data, task=task, backbone={"layers": layers}, train={"epochs": 1}))
    done = specc("run", spec, "--trust-code", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
