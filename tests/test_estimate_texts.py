"""What training a network of texts would take, or of several inputs: their shapes, and how many tokens there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import runtime  # noqa: F401  networks are traced in this process
import specc
from specc.diagnostics import SpecError
from specc.estimating import NotAnExample

from .commands import Result
from .commands import specc as typed

LENGTH, KNOWN = 12, 50
SMALL = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "max_position_embeddings": LENGTH,
}  # fmt: skip
NETS = """
import torch
from torch import nn


class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 3)

    def forward(self, row):
        return self.fc(row)


class Both(Rows):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, image, row):
        return super().forward(self.conv(image).mean((2, 3)) + row)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, tokens):
        return self.fc(self.words(tokens).mean(1))
"""


class Words(nn.Module):
    """The mean of what tokens mean, and a classifier."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.words = nn.Embedding(KNOWN, 8)
        self.fc = nn.Linear(8, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.fc(self.looked_up(tokens).mean(1))
        return found

    def looked_up(self, tokens: Tensor) -> Tensor:
        """The tokens as they are."""
        found: Tensor = self.words(tokens)
        return found


class Viewed(Words):
    """As GPT-2 looks tokens up."""

    def looked_up(self, tokens: Tensor) -> Tensor:
        """By a function, of a view."""
        return nn.functional.embedding(tokens.view(-1, tokens.shape[-1]), self.words.weight)


class Moved(Words):
    """Whose first row is for none of the tokens, so that it knows one less than there are rows."""

    def looked_up(self, tokens: Tensor) -> Tensor:
        """One further down."""
        found: Tensor = self.words(tokens + 1)
        return found


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of code that is trusted, and an empty cache."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def texts(rows: int = 3) -> Tensor:
    return torch.zeros(rows, LENGTH, dtype=torch.int64)


def small(**settings: Any) -> specc.Estimate:
    """A BERT of one layer, by the length of its texts."""
    overrides = [f"backbone.args={json.dumps(SMALL)}"]
    return specc.estimate("transformers:bert", (LENGTH,), batch=4, overrides=overrides, **settings)


def asked(folder: Path, network: str, *words: str) -> Result:
    return typed("estimate", network, "--batch", "4", *words, cwd=folder)


# --------------------------------------------------------------------------------------------------- how many tokens


def test_a_model_of_transformers_reads_the_tokens_that_its_configuration_says(own: Path) -> None:
    """BERT's own 30,522 where nobody says another number, and that is said; it is traced once for that."""
    found = small()
    assert found.assumed == ("nobody said how many tokens there are: 30,522, as the network knows so many",)
    assert len(list((own / "cache").rglob("*.json"))) == 1
    assert (found.plan.config.task, found.plan.data.shape, found.plan.data.vocabulary) == (
        "text_classification", (LENGTH,), 30_522
    )  # fmt: skip
    document = {
        "task": "text_classification", "backbone": {"transformers": "bert", "args": SMALL},
        "data": {"dataset": "synthetic", "length": LENGTH, "vocabulary": 30_522, "classes": 1000, "samples": 4,
                 "batch_size": 4},
        "train": {"optimizer": {"name": "adamw"}, "precision": "bf16"},
    }  # fmt: skip
    assert found.peak_bytes == specc.compile(document).memory.peak_bytes
    told = str(found)
    assert "bert end to end: batches of 4 × 12 tokens of 30,522, adamw" in told
    assert found.assumed[0] in told
    assert "which learn one class a text" in told


def test_of_as_many_tokens_as_somebody_says(own: Path) -> None:
    said, overridden = small(vocabulary=20), specc.estimate(
        "transformers:bert", (LENGTH,), batch=4,
        overrides=[f"backbone.args={json.dumps(SMALL)}", "data.vocabulary=20"],
    )  # fmt: skip
    for found in (said, overridden):
        assert (found.assumed, found.plan.data.vocabulary) == ((), 20)
        assert found.document()["parameters"] < 8 * 30_522


@pytest.mark.parametrize("kind", [Words, Viewed])
def test_a_module_knows_the_tokens_that_its_table_has_rows_for(kind: type[Words]) -> None:
    found = specc.estimate(kind(), texts())
    assert (found.plan.data.vocabulary, found.plan.data.classes, found.plan.config.data.batch_size) == (KNOWN, 4, 3)
    assert "50, as the network knows so many" in found.assumed[0]
    backbone = specc.trace(kind(), texts())
    assert specc.estimate(backbone, batch=3).peak_bytes == found.peak_bytes
    assert specc.compile({"task": "text_classification"}, backbone=backbone).data.vocabulary == KNOWN


def test_what_tokens_are_made_into_says_nothing_of_how_many_there_are() -> None:
    with pytest.raises(SpecError, match=r"SPC601.*no table of the network is seen"):
        specc.estimate(Moved(), texts())
    found = specc.estimate(Moved(), texts(), vocabulary=KNOWN - 1)
    assert (found.assumed, found.plan.data.vocabulary) == ((), KNOWN - 1)


def test_more_tokens_than_the_table_has_rows_for_are_refused(own: Path) -> None:
    with pytest.raises(SpecError, match=r"SPC301.*it knows 50 tokens, and those of the texts are 0 to 50"):
        specc.estimate(Words(), texts(), vocabulary=KNOWN + 1)
    done = asked(own, "nets.py:Words", "--input", "12", "--vocabulary", "51")
    assert (done.returncode, "has too small a table for tokens 0 to 50" in done.stderr) == (1, True)


def test_a_length_is_a_text_of_a_module_where_the_tokens_are_counted() -> None:
    found = specc.estimate(Words(), (LENGTH,), vocabulary=KNOWN)
    assert found.plan.data == specc.estimate(Words(), texts(32), vocabulary=KNOWN).plan.data
    for example in ((3, 8, 8), torch.zeros(2, 5)):
        with pytest.raises(NotAnExample, match="a vocabulary is of the tokens of a text"):
            specc.estimate("family:vgg", example, vocabulary=KNOWN)


def test_one_number_for_a_text_is_no_answer_for_its_class() -> None:
    with pytest.raises(SpecError, match=r"SPC304.*gives 1: not a number for each class"):
        specc.estimate(Words(1), texts())


# -------------------------------------------------------------------------------------------------- as it is typed


def test_a_budget_of_texts_is_guarded_by_the_exit_code(own: Path) -> None:
    done = asked(own, "nets.py:Words", "--input", "12", "--vocabulary", "50", "--budget", "1KiB", "--format", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["fits"], found["task"]) == (1, False, "text_classification")
    assert (found["sample"], found["vocabulary"], found["assumed"], found["classes"]) == ([12], 50, [], 4)
    done = asked(own, "nets.py:Words", "--input", "12", "--vocabulary", "50", "--budget", "1GiB", "--advice")
    assert (done.returncode, "end-to-end training" in done.stdout) == (0, True), done.stderr
    said = (done.stdout + done.stderr).replace("a decoder restores images, and the tokens of a text are no pixels", "")
    assert "image" not in said


def test_one_number_is_a_row_of_floats_of_own_code_unless_tokens_are_counted(own: Path) -> None:
    found = json.loads(asked(own, "nets.py:Rows", "--input", "5", "--format", "json").stdout)
    assert (found["sample"], found["vocabulary"], found["classes"], found["task"]) == ([5], None, 3, "classification")
    assert specc.estimate(f"{own}/nets.py:Rows", torch.zeros(4, 5)).peak_bytes == found["predicted_peak_bytes"]
    done = asked(own, "nets.py:Words", "--input", "12")
    assert (done.returncode, "SPC301" in done.stderr) == (1, True)
    assert "with `--vocabulary N`, in Python `vocabulary=N`, 12 is the length of a text" in done.stderr


@pytest.mark.parametrize(
    ("inputs", "example"),
    [(["3x8x8", "5"], ((3, 8, 8), (5,))), (["row=5", "image=3x8x8"], {"row": (5,), "image": torch.zeros(4, 3, 8, 8)})],
)
def test_several_inputs_have_a_shape_each(own: Path, inputs: list[str], example: Any) -> None:
    done = asked(own, "nets.py:Both", *(word for each in inputs for word in ("--input", each)), "--format", "json")
    assert done.returncode == 0, done.stderr
    found = specc.estimate(f"{own}/nets.py:Both", example, batch=4)
    assert json.loads(done.stdout)["predicted_peak_bytes"] == found.peak_bytes
    assert [part.shape for part in found.plan.data.parts] == [(3, 8, 8), (5,)][
        :: 1 if isinstance(example, tuple) else -1
    ]


def test_an_input_that_the_code_does_not_have_is_named(own: Path) -> None:
    done = asked(own, "nets.py:Both", "--input", "image=3x8x8", "--input", "rows=5")
    assert "does not take samples of `image` 3×8×8 floats, `rows` 5 floats" in done.stderr
    assert "unexpected keyword argument 'rows'" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--input", "3x8x8", "--vocabulary", "50"],
        ["--input", "12", "--vocabulary", "1"],
        ["--input", "3x8x8", "--input", "row=5"],
        ["--input", "row=3x8x8", "--input", "row=5"],
        ["--input", "=5"],
        ["--input", "a b=5"],
    ],
)
def test_a_wrong_command_line_is_no_wrong_network(tmp_path: Path, words: list[str]) -> None:
    assert asked(tmp_path, "nets.py:Words", *words).returncode == 2
