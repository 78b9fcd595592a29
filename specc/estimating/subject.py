"""What is estimated, as the spec that stands for it: a network, what it reads, and how it is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..compiler.draft import Draft
from ..compiler.expand import built, reading
from ..diagnostics import Diagnostic, SpecError
from ..graph.families.traced_family import TracedFamily
from ..graph.families.traced_module import described
from ..graph.ops import Shape, show
from ..graph.traced.backbone import Backbone
from ..graph.traced.tracing import give
from ..language.scalars import ambiguity, resolve
from ..spec.load import Spec, loads
from ..system.devices import Device
from ..tasks.datasets import ResolvedData
from ..tasks.inputs import Parts
from ..tasks.own.facts import GIVEN, like_those_of
from ..tasks.registry import TASKS

FILE = "<estimate>"  # where positions of what is wrong are: in the spec that was made
KINDS = ("family", "timm", "torchvision", "transformers")  # of networks that have names
MAPPED = 3  # numbers of the shape of a map that is learnt pixel by pixel
USUAL = 1000  # classes of a network that asks how many, where nobody says
SAMPLES = 32  # a step, where nobody says


def named(words: str) -> dict[str, str]:
    """A network by its name, as a spec says it.

    >>> named("nets.py:make"), named("torchvision:resnet50"), named("convnext_nano"), named("vit.json")
    ({'module': 'nets.py:make'}, {'torchvision': 'resnet50'}, {'timm': 'convnext_nano'}, {'transformers': 'vit.json'})
    """
    kind, colon, name = words.partition(":")
    if colon and kind in KINDS:
        return {kind: name}
    if colon or words.endswith(".py"):
        return {"module": words}
    return {"transformers" if words.endswith(".json") else "timm": words}


def given(backbone: Backbone) -> dict[str, Any]:
    """A module that Python has traced, as a spec says it; its graph is known from now on."""
    give(backbone.source, backbone.graph)
    found: dict[str, Any] = described(backbone).model_dump(mode="json", exclude_defaults=True)
    return found


def called(words: str) -> str:
    """A name for it, out of what specs may be called.

    >>> called("models/nets.py:make_net"), called("timm:resnet50"), called("vit.json"), called("??")
    ('make_net', 'resnet50', 'vit', 'network')
    """
    last = re.split(r"[:/\\]", words)[-1].removesuffix(".json").removesuffix(".py")
    return re.sub(r"[^A-Za-z0-9_.-]", "", last).lstrip("_.-") or "network"


@dataclass(frozen=True, slots=True)
class Subject:
    """All that the spec says."""

    name: str
    backbone: Mapping[str, Any]
    sample: tuple[int, ...]
    batch: int
    optimizer: str | Mapping[str, Any]
    precision: str
    budget: str | int | None
    classes: int | None
    device: Device
    overrides: tuple[str, ...] = ()
    parts: Parts = ()  # of a sample, where it is several inputs
    tokens: bool = False  # whether a sample is a text
    vocabulary: int | None = None  # of texts
    assumed: tuple[str, ...] = ()  # what nobody said, in words

    def complete(self) -> Subject:
        """The same, of texts of as many tokens as the network knows where nobody says how many; raises `SpecError`."""
        if not self.tokens or self.vocabulary is not None:
            return self
        spec = self._with(self._task, self.classes or USUAL)
        if spec.config.data.vocabulary is not None:  # an override says it
            return self
        draft, data = self._draft(spec)
        graph = built(draft, data)
        if isinstance(graph, tuple):
            raise SpecError(graph, spec.sources)
        if not graph.vocabulary:
            raise SpecError([_no_tokens(spec)], spec.sources)
        backbone = draft.spec.config.backbone
        if isinstance(backbone, TracedFamily):  # which is the same network where so many are asked for
            give(backbone.source(data.shape, data.classes, graph.vocabulary), graph)
        words = f"nobody said how many tokens there are: {graph.vocabulary:,}, as the network knows so many"
        return replace(self, vocabulary=graph.vocabulary, assumed=(words,))

    def spec(self) -> Spec:
        """The spec of training it end to end; raises `SpecError`.

        Where nobody says how many classes there are, it is what the network gives: numbers, or one map for each.
        """
        task = self._task
        spec = self._with(task, self.classes or USUAL)
        if self.classes is not None:
            return spec
        graph = built(*self._draft(spec))
        if isinstance(graph, tuple):
            raise SpecError(self._hinted(graph), spec.sources)
        given = graph.layers[-1].shape
        if given == (USUAL,):
            return spec
        maps = given[1:] == self.sample[1:] and len(given) == MAPPED
        if given[0] > 1 and (maps or not given[1:]):
            return self._with("segmentation" if maps else task, given[0])
        raise SpecError([_no_answers(spec, given)], spec.sources)

    def _hinted(self, found: Sequence[Diagnostic]) -> list[Diagnostic]:
        """What is wrong; a network that does not take a row of numbers may read a text of that length."""
        row = [part.name for part in self.parts] == [""] and "module" in self.backbone
        help = (f"with `--vocabulary N`, in Python `vocabulary=N`, {self.sample[0]} is the length of a text",) * row
        return [replace(each, help=(*each.help, *help)) if each.code == "SPC301" else each for each in found]

    @property
    def _task(self) -> str:
        """What is learnt, unless it is one class a pixel."""
        return "text_classification" if self.tokens else "classification"

    def _draft(self, spec: Spec) -> tuple[Draft, ResolvedData]:
        """What is built, and for which samples; of texts, those of as many tokens as the spec says, if it does."""
        said = spec.config.data
        data = ResolvedData(
            "synthetic", self.sample, said.classes or USUAL, (), (), parts=self.parts, vocabulary=said.vocabulary or 0
        )
        return reading(Draft(spec), data), data

    def _with(self, task: str, classes: int) -> Spec:
        spec = loads(self.text(task, classes), FILE, self.overrides).on(self.device)
        if not self.parts:
            return spec
        return spec.of_data(like_those_of(self.parts, TASKS[task].kind, classes, self.batch))

    def text(self, task: str, classes: int) -> str:
        """The spec as text."""
        optimizer = {"name": self.optimizer} if isinstance(self.optimizer, str) else dict(self.optimizer)
        samples = {"dataset": GIVEN} if self.parts else {"dataset": "synthetic", **self._made(), "samples": self.batch}
        sections: dict[str, Any] = {
            "specc": 1, "name": self.name, "task": task,
            "data": {**samples, "classes": classes, "batch_size": self.batch}, "backbone": dict(self.backbone),
            "split": {"blocks": 1}, "train": {"optimizer": optimizer, "precision": self.precision},
        }  # fmt: skip
        if self.budget is not None:
            sections["budget"] = {"memory": _exactly(self.budget)}
        return "".join(f"{key}: {_flow(value)}\n" for key, value in sections.items())

    def _made(self) -> dict[str, Any]:
        """What samples are made up of."""
        if self.tokens:
            known = {} if self.vocabulary is None else {"vocabulary": self.vocabulary}
            return {"length": self.sample[0], **known}
        channels, *size = self.sample
        return {"channels": channels, "image_size": size}


def _no_tokens(spec: Spec) -> Diagnostic:
    """Nobody says how many tokens there are."""
    message = "nothing says how many tokens there are: no table of the network is seen in which they are looked up"
    help = ("`--vocabulary 30522` says so, and `vocabulary=30522` in Python",)
    return spec.error("SPC601", message, "data", label="of how many tokens?", help=help, key=True)


def _no_answers(spec: Spec, given: Shape) -> Diagnostic:
    """The network gives what no task compares with its targets."""
    what = "neither a number for each class, nor a map of the image's size for each"
    what = what if TASKS[spec.config.task].sample == "image" else "not a number for each class"
    message = f"the network gives {show(given)}: {what}"
    help = ("estimate it with the head that it is trained with, which says how much a sample belongs to each class",)
    return spec.error("SPC304", message, "backbone", label="gives something else", help=help, key=True)


def _exactly(size: str | int) -> str | int:
    """The size with the largest unit of which it is a multiple.

    >>> _exactly(8 << 30), _exactly(1500 << 20), _exactly("6 GB"), _exactly(1000)
    ('8GiB', '1500MiB', '6 GB', 1000)
    """
    if isinstance(size, str):
        return size
    fitting = [(unit, power) for unit, power in (("GiB", 30), ("MiB", 20)) if size and size % (1 << power) == 0]
    return f"{size >> fitting[0][1]}{fitting[0][0]}" if fitting else size


def _flow(value: Any) -> str:
    """YAML on one line: JSON, with quotes where a word would be read as something else.

    >>> _flow({"name": "adamw", "betas": [0.9, 0.99], "on": "yes", "as": "1e5", "file": "my nets.py:net"})
    '{name: adamw, betas: [0.9, 0.99], on: "yes", as: "1e5", file: "my nets.py:net"}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./]*(:[A-Za-z0-9_]+)?", value)
    if plain and resolve(value) == value and ambiguity(value) is None:
        return str(value)
    return json.dumps(value, allow_nan=False)
