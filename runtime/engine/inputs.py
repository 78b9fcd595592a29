"""What a session is given as a batch: one tensor, or the several inputs of a network that takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from specc.graph.ops import show
from specc.plan import Plan
from specc.tasks.inputs import told

from ..errors import RunError
from ..trace.packing import NotPacked, pack

Inputs: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def as_tensor(plan: Plan, given: Inputs) -> Tensor:
    """The batch as the one tensor that a step is of; raises `RunError` where it is not what the network takes."""
    parts = plan.data.parts
    if isinstance(given, Tensor) and (not parts or given.shape[1:] == plan.data.shape):  # a loader packs them
        _check_samples(plan, given)
        return given
    if not parts:
        text = f"the batch is a `{type(given).__name__}`, and the network takes one tensor"
        raise RunError(text, ("a module that takes several inputs is traced with an example of several",))
    try:
        return pack(parts, given)
    except NotPacked as error:
        raise RunError(str(error), ("the inputs are those of the example, or of the data set's samples",)) from None


def _check_samples(plan: Plan, batch: Tensor) -> None:
    """Raise `RunError` where the samples are others than those that the network was planned for."""
    if tuple(batch.shape[1:]) != plan.data.shape:
        text = f"the batch has the shape {show(tuple(batch.shape))}, and the plan is for samples of"
        raise RunError(
            f"{text} {show(plan.data.shape)}", ("samples of another size are planned for, or resized, first",)
        )
    if batch.dtype in (torch.uint8, torch.bool):
        kind = str(batch.dtype).removeprefix("torch.")
        raise RunError(f"the batch is {kind}, and the network takes floats", ("`images.float() / 255`, normalised",))


def check_labels(plan: Plan, labels: Tensor, count: int) -> None:
    """Raise `RunError` unless there is a label for every sample, and it is one of the classes.

    On a GPU nobody waits for the numbers, which are looked at on a CPU alone.
    """
    if len(labels) != count:
        raise RunError(f"the batch has {count} samples, and there are {len(labels)} labels")
    if labels.dim() != 1:  # masks, several labels, or mixed ones
        return
    if labels.is_floating_point():
        kind = str(labels.dtype).removeprefix("torch.")
        raise RunError(f"labels are {kind}, one a sample, and the number of a class is whole", ("`labels.long()`",))
    if type(labels) is Tensor and labels.device.type == "cpu" and count:
        least, most = (int(each) for each in torch.aminmax(labels))
        if least < 0 or most >= plan.data.classes:
            wrong = least if least < 0 else most
            raise RunError(f"a label is {wrong}, and labels are 0 to {plan.data.classes - 1}")


def check_exact(plan: Plan, dtype: torch.dtype) -> None:
    """Raise `RunError` where the whole numbers among several inputs would be rounded to a session's numbers."""
    if dtype.itemsize < 4 and any(part.kind != "float32" for part in plan.data.parts):
        kind = str(dtype).removeprefix("torch.")
        text = f"the inputs are {told(plan.data.parts)}: in {kind} their whole numbers would be rounded"
        raise RunError(text, ("keep the module in float32: `train.precision` has it compute in less",))
