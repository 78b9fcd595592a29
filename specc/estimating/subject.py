"""What is estimated, as the spec that stands for it: a network, what it reads, and how it is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..diagnostics import Diagnostic, SpecError
from ..graph.families.traced_module import described
from ..graph.ops import Shape, ShapeError, show
from ..graph.problems import BackboneError
from ..graph.traced.backbone import Backbone
from ..graph.traced.tracing import give
from ..language.scalars import ambiguity, resolve
from ..spec.load import Spec, loads
from ..system.devices import Device
from ..tasks.inputs import Parts
from ..tasks.own.facts import GIVEN, like_those_of
from ..tasks.registry import TASKS

FILE = "<estimate>"  # where positions of what is wrong are: in the spec that was made
KINDS = ("family", "timm", "torchvision", "transformers")  # of networks that have names
MAPPED = 3  # numbers of the shape of a map that is learnt pixel by pixel
RANKS = (2, 3, 4)  # how many numbers the shape of a sample has
USUAL = 1000  # classes of a network that asks how many, where nobody says
IMAGES = 32  # a step, where nobody says


class NotAnExample(ValueError):
    """What was given as an example is none."""


@dataclass(frozen=True, slots=True)
class Example:
    """What the network reads: the shape of a sample, and how many where that is known."""

    sample: tuple[int, ...]  # channels, and one to three sizes
    batch: int | None = None


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


def example_of(given: Any) -> Example:
    """The example of a tensor, a batch, or of the shape of one sample; raises `NotAnExample`.

    >>> example_of((3, 224, 224)), example_of([1, 16000]).sample
    (Example(sample=(3, 224, 224), batch=None), (1, 16000))
    """
    batched = hasattr(given, "shape")
    shape = given.shape if batched else given
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    sample = sizes[batched:]
    if len(sample) not in RANKS or not all(isinstance(size, int) and size > 0 for size in sizes):
        form = "×".join(map(str, sizes)) or type(given).__name__
        forms = "(C, H, W), or (C, L) of a signal, or (C, D, H, W) of a volume"
        raise NotAnExample(f"an example is a batch, or the shape of one sample, {forms}, and not {form}")
    return Example(sample, sizes[0] if batched else None)


def several(example: Any) -> bool:
    """Whether it is an example of several inputs.

    >>> several((3, 224, 224)), several(((3, 224, 224), (5,))), several({"image": (3, 8, 8)})
    (False, True, True)
    """
    return isinstance(example, Mapping) or (
        isinstance(example, (tuple, list)) and any(not isinstance(each, int) for each in example)
    )


def batch_of(example: Any) -> int | None:
    """How many samples an example of several inputs has, where it is a batch."""
    inputs = example.values() if isinstance(example, Mapping) else example
    return next((int(each.shape[0]) for each in inputs if hasattr(each, "shape")), None)


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

    def spec(self) -> Spec:
        """The spec of training it end to end; raises `SpecError`.

        Where nobody says how many classes there are, it is what the network gives: numbers, or one map for each.
        """
        spec = self._with("classification", self.classes or USUAL)
        if self.classes is not None:
            return spec
        try:
            graph = spec.config.backbone.expand(self.sample, USUAL)
        except (BackboneError, ShapeError):  # which the compiler says at its place
            return spec
        given = graph.layers[-1].shape
        if given == (USUAL,):
            return spec
        maps = given[1:] == self.sample[1:] and len(given) == MAPPED
        if given[0] > 1 and (maps or not given[1:]):
            return self._with("segmentation" if maps else "classification", given[0])
        raise SpecError([_no_answers(spec, given)], spec.sources)

    def _with(self, task: str, classes: int) -> Spec:
        spec = loads(self.text(task, classes), FILE, self.overrides).on(self.device)
        if not self.parts:
            return spec
        return spec.of_data(like_those_of(self.parts, TASKS[task].kind, classes, self.batch))

    def text(self, task: str, classes: int) -> str:
        """The spec as text."""
        channels, *size = self.sample
        optimizer = {"name": self.optimizer} if isinstance(self.optimizer, str) else dict(self.optimizer)
        images: dict[str, Any] = {"dataset": "synthetic", "channels": channels, "image_size": size, "classes": classes}
        images = {**images, "samples": self.batch} if not self.parts else {"dataset": GIVEN, "classes": classes}
        sections: dict[str, Any] = {
            "specc": 1, "name": self.name, "task": task,
            "data": {**images, "batch_size": self.batch}, "backbone": dict(self.backbone),
            "split": {"blocks": 1}, "train": {"optimizer": optimizer, "precision": self.precision},
        }  # fmt: skip
        if self.budget is not None:
            sections["budget"] = {"memory": _exactly(self.budget)}
        return "".join(f"{key}: {_flow(value)}\n" for key, value in sections.items())


def _no_answers(spec: Spec, given: Shape) -> Diagnostic:
    """The network gives what no task compares with its targets."""
    message = (
        f"the network gives {show(given)}: neither a number for each class, nor a map of the image's size for each"
    )
    help = ("estimate it with the head that it is trained with, which says how much an image belongs to each class",)
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
