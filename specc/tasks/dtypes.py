"""The kinds of numbers that a batch or a value of a network holds."""

from __future__ import annotations

from typing import Literal

DType = Literal["float32", "int64"]  # in mixed precision floats may be narrower
BYTES: dict[DType, int] = {"float32": 4, "int64": 8}  # of one number


def dtype_of(vocabulary: int) -> DType:
    """Of samples: tokens below so many are whole numbers, and of images there is no vocabulary."""
    return "int64" if vocabulary else "float32"
