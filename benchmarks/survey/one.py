"""What becomes of one network, cut into four units.

Units of networks of images learn by InfoPro's two heads, a local classifier and a decoder that restores the image, and
by MAN's links. A text has no image to be restored: its units learn by the local classifier and MAN's links.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from importlib.metadata import version
from typing import Any

import torch

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.graph.families import expanded
from specc.graph.node import Node
from specc.graph.ops import ShapeError
from specc.graph.ops.opaque import Opaque
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.spec.load import Spec, loads

from .outcome import UNITS
from .subjects import Subject

CLASSES = 10
BATCH = 8
LARGE, LONG = 150_000_000, 20  # parameters and seconds beyond which a step is one of fake tensors
INFOPRO_AND_MAN: dict[str, Any] = {
    "auxiliary": {"classifier": {"layers": "1c2f"}, "reconstruction": {"layers": "2c", "channels": 12}},
    "ema_links": [{"from": "next", "layers": 1, "momentum": 0.995, "bias": "branch"}],
}
MAN: dict[str, Any] = INFOPRO_AND_MAN | {"auxiliary": {"classifier": {"layers": "1c2f"}}}


class Long(Exception):
    """A step took too long."""


def look(subject: Subject) -> Iterator[dict[str, Any]]:
    """What becomes of it, bit by bit; raises where it goes no further."""
    size, nodes = traced(subject)
    parameters = sum(torch.Size(shape).numel() for node in nodes for shape in node.parameters.values())
    opaque = sum(isinstance(node.op, Opaque) for node in nodes)
    yield {"size": size, "parameters": parameters, "nodes": len(nodes), "opaque": opaque}
    plan = specc.compile(spec(subject, size))
    yield {"units": len(plan.units)}
    yield {"predicted": as_traced(plan).peak_bytes, "weighed": trace(plan).peak_bytes, "step": "fake"}
    if parameters <= LARGE:
        yield {"step": stepped(plan)}


def traced(subject: Subject) -> tuple[int, list[Node]]:
    """Its nodes, for the smallest samples that it takes."""
    for size in subject.sizes:
        try:
            shape = (size,) if subject.vocabulary else (3, size, size)
            backbone = spec(subject, size).config.backbone
            return size, list(expanded(backbone, shape, CLASSES, subject.vocabulary).nodes)
        except ShapeError:
            if size == subject.sizes[-1]:
                raise
    raise AssertionError


def spec(subject: Subject, size: int) -> Spec:
    """The network in four units."""
    text = subject.vocabulary
    sample = {"length": size, "vocabulary": text} if text else {"image_size": size, "channels": 3}
    data = {"dataset": "synthetic", "classes": CLASSES, "samples": 64, "batch_size": BATCH, **sample}
    document = {
        "specc": 1, "name": "survey", "task": "text_classification" if text else "classification", "data": data,
        "backbone": subject.backbone,
        "split": {"blocks": UNITS}, "train": {"optimizer": {"name": "sgd", "lr": 0.01}},
    }  # fmt: skip
    return loads(json.dumps(document | (MAN if text else INFOPRO_AND_MAN)))


def stepped(plan: Plan) -> str:
    """One step with numbers, which must be finite; fake where it takes too long."""
    torch.manual_seed(0)
    shape, labels = (BATCH, *plan.data.shape), torch.arange(BATCH) % CLASSES
    images = torch.randint(plan.data.vocabulary, shape) if plan.data.vocabulary else torch.rand(shape)
    try:
        with limited(LONG):
            totals = Session(plan).train_step(images, labels).total
    except Long:
        return "fake"
    finite = all(bool(torch.isfinite(total)) for total in totals.values())
    return "real" if finite else "not finite"


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `Long` after so many seconds."""

    def over(*_: Any) -> None:
        raise Long

    signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def become(subject: Subject) -> Iterator[dict[str, Any]]:
    """Its row, longer and longer; the last one has `seconds`."""
    row: dict[str, Any] = {"key": subject.key, "with": versions(subject), "day": date.today().isoformat()}
    begin = time.monotonic()
    try:
        for found in look(subject):
            row |= found
            yield row  # should the process end before its time
    except Exception as error:  # whatever it is, it is what became of this network
        row["error"] = f"{type(error).__name__}: {error}"[:600]
    yield row | {"seconds": round(time.monotonic() - begin, 1)}


def versions(subject: Subject) -> str:
    """What it was looked at with."""
    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("torch", subject.kind))


def warm() -> None:
    """Load what every network needs, before processes part."""
    for name in ("timm", "transformers"):
        import_module(name)
    bits = look(Subject("timm", "resnet10t", {}, 64))
    next(bits), next(bits)  # no backward: its threads are in no other process
