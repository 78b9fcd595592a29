"""Small networks of several inputs as people write them, and of several outputs; four classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 4
ROWS = 1000  # of tables


class Siamese(nn.Module):
    """Two images through one encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.mix, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        a, b = (self.encoder(x).mean((2, 3)) for x in (left, right))
        return self.head(self.norm(torch.tanh(self.mix(torch.cat([(a - b).abs(), a * b], 1)))))


class ImageAndMetadata(nn.Module):
    """What is known beside an image joins it at the head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU())
        self.known = nn.Linear(5, 6)
        self.head = nn.Linear(6 + 6 + 1, CLASSES)

    def forward(self, image: Tensor, metadata: Tensor, age: Tensor) -> Tensor:
        seen = self.body(self.stem(image)).mean((2, 3))
        return self.head(torch.cat([seen, F.relu(self.known(metadata)), age[:, None]], 1))


class Attending(nn.Module):
    """Attention over tokens, of which some count for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out, self.norm = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = (q @ k.mT / 8**0.5).masked_fill(mask[:, None] == 0, -1e9)
        return self.norm(x + self.out(scores.softmax(-1) @ v))


class IdsAndMask(nn.Module):
    """Every layer looks at the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(ROWS, 8)
        self.layers = nn.ModuleList(Attending() for _ in range(3))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        x = self.table(input_ids)
        for layer in self.layers:
            x = layer(x, attention_mask)
        kept = attention_mask[..., None].to(x.dtype)
        return {"logits": self.head((x * kept).sum(1) / kept.sum(1).clamp(min=1)), "hidden": x}


class Keywords(nn.Module):
    """Arguments by name alone, one of them left to its default, one a truth value of every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.table = nn.Embedding(7, 4)
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(4, CLASSES)

    def forward(self, *, kind: Tensor, image: Tensor, valid: Tensor, factor: float = 0.5) -> Tensor:
        x = self.first(image) * valid[:, None]
        x = self.second(x + factor * self.table(kind)[:, :, None, None])
        return self.head(x.mean((2, 3)))


def batch(name: str, rows: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    """Inputs of a network: a tuple, or a mapping."""
    drawn = torch.Generator().manual_seed(seed)

    def floats(*shape: int) -> Tensor:
        return torch.rand(rows, *shape, generator=drawn, dtype=dtype)

    def below(most: int, *shape: int) -> Tensor:
        return torch.randint(most, (rows, *shape), generator=drawn)

    return {
        "Siamese": lambda: (floats(3, 8, 8), floats(3, 8, 8)),
        "ImageAndMetadata": lambda: (floats(3, 8, 8), floats(5), floats()),
        "IdsAndMask": lambda: {"input_ids": below(ROWS, 6), "attention_mask": below(2, 6)},
        "Keywords": lambda: {"kind": below(7), "image": floats(3, 8, 8), "valid": below(2, 8, 8) > 0},
    }[name]()


# where they are cut: the layers, and of which module what crosses there is the result, or what it is given
CUTS = {
    "Siamese": {"encoder": ("mix", "given"), "mix": ("norm", "result")},
    "ImageAndMetadata": {"stem": ("stem", "result"), "known": ("head", "given")},
    "IdsAndMask": {"layers.0": ("layers.0", "result"), "layers.1": ("layers.1", "result")},
    "Keywords": {"first": ("first", "result"), "second": ("second", "result")},
}
NAMES = tuple(CUTS)


# ------------------------------------------------------------------------------------- several outputs


@dataclass(slots=True)
class Answer:
    """What a network may give, an object of its own."""

    hidden: Tensor
    logits: Tensor


@dataclass
class Hidden:
    """Nothing says which is the answer."""

    first: Tensor
    second: Tensor


class Named(NamedTuple):
    aux: Tensor
    logits: Tensor


def _of_transformers(logits: Tensor, aux: Tensor, hidden: Tensor) -> Any:
    from transformers.modeling_outputs import SequenceClassifierOutput

    return SequenceClassifierOutput(logits=logits, hidden_states=(hidden, aux))


GIVES: dict[str, Callable[[Tensor, Tensor, Tensor], Any]] = {  # of logits, others of their shape, and hidden features
    "a tuple": lambda logits, aux, hidden: (logits, hidden),
    "a tuple in a tuple": lambda logits, aux, hidden: ((logits, {"hidden": hidden}), None),
    "a list of one": lambda logits, aux, hidden: [logits],
    "logits and aux": lambda logits, aux, hidden: {"aux": aux, "logits": logits},
    "out and aux": lambda logits, aux, hidden: {"aux": aux, "out": logits},
    "one by another name": lambda logits, aux, hidden: {"loss": None, "scores": logits},
    "a dataclass": lambda logits, aux, hidden: Answer(hidden, logits),
    "a named tuple": lambda logits, aux, hidden: Named(aux, logits),
    "what transformers gives": _of_transformers,
    "an object": lambda logits, aux, hidden: SimpleNamespace(logits=logits, aux=aux),
}  # fmt: skip
AMBIGUOUS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Any], str]] = {
    "alike": (lambda logits, aux, hidden: (logits, aux), "gives a tuple of several tensors 4, and nothing says"),
    "names": (lambda logits, aux, hidden: {"left": logits, "right": hidden}, "gives tensors called `left`, `right`"),
    "fields": (lambda logits, aux, hidden: Hidden(hidden, logits), "gives tensors called `first`, `second`"),
    "none": (lambda logits, aux, hidden: None, "gives a `NoneType` without a tensor"),
    "no tensor": (lambda logits, aux, hidden: {"loss": 1.0}, "gives a `dict` without a tensor"),
}  # fmt: skip


class Giving(nn.Module):
    """Gives its logits among other things."""

    def __init__(self, gives: Callable[[Tensor, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.gives = gives
        self.stem, self.head, self.side = nn.Conv2d(3, 6, 3), nn.Linear(6, CLASSES), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        hidden = self.stem(x).mean((2, 3))
        return self.gives(self.head(hidden), self.side(hidden), hidden)
