"""`train.offload`: what of a network's state lives on the host."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from ...language.schema import problem

Part = Literal["optimizer", "parameters"]


def _usable(parts: list[Part]) -> list[Part]:
    """Each once; parameters that are not on the device are stepped where they are, and so is the optimizer's state."""
    if "parameters" in parts and "optimizer" not in parts:
        message = "parameters on the host are stepped there, so that the optimizer's state must be there too"
        raise problem("SPC619", message, label="`optimizer` is missing", help="write `[optimizer, parameters]`")
    return sorted(set(parts))


Offload = Annotated[list[Part], AfterValidator(_usable)]
