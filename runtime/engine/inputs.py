"""What a session is given as a batch: one tensor, or the several inputs of a network that takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from specc.plan import Plan
from specc.tasks.inputs import told

from ..errors import RunError
from ..trace.packing import NotPacked, pack

Inputs: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def as_tensor(plan: Plan, given: Inputs) -> Tensor:
    """The batch as the one tensor that a step is of; raises `RunError` where it is not what the network takes."""
    parts = plan.data.parts
    if isinstance(given, Tensor) and (not parts or given.shape[1:] == plan.data.shape):  # a loader packs them
        return given
    if not parts:
        text = f"the batch is a `{type(given).__name__}`, and the network takes one tensor"
        raise RunError(text, ("a module that takes several inputs is traced with an example of several",))
    try:
        return pack(parts, given)
    except NotPacked as error:
        raise RunError(str(error), ("the inputs are those of the example, or of the data set's samples",)) from None


def check_exact(plan: Plan, dtype: torch.dtype) -> None:
    """Raise `RunError` where the whole numbers among several inputs would be rounded to a session's numbers."""
    if dtype.itemsize < 4 and any(part.kind != "float32" for part in plan.data.parts):
        kind = str(dtype).removeprefix("torch.")
        text = f"the inputs are {told(plan.data.parts)}: in {kind} their whole numbers would be rounded"
        raise RunError(text, ("keep the module in float32: `train.precision` has it compute in less",))
