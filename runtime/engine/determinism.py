"""`train.deterministic`: what torch needs so that two runs on one kind of GPU give the same numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORKSPACE, _FIXED = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")  # the two that cuBLAS repeats itself with
_REFUSED = re.compile(r"(\S+) does not have a deterministic implementation")
_TOO_LATE = "this operation is not deterministic because it uses CuBLAS"
_COSTS = {
    "cuda": "deterministic: cuBLAS and cuDNN choose among fewer algorithms, so that steps may take longer, cuBLAS "
    "keeps 32 MiB beside the prediction, and an operation that has no deterministic algorithm ends the run",
    "cpu": "deterministic: on a processor two runs with as many threads are equal without it too; what it costs here "
    "is that torch fills new memory",
}


def cost(device: torch.device) -> str:
    """What it costs on a device."""
    return _COSTS[device.type]


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """Whatever is computed inside comes out the same again, or torch refuses it; then its switches are as before."""
    if not wanted:
        yield
        return
    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    before = os.environ.get(_WORKSPACE), cudnn.deterministic, cudnn.benchmark
    # cuBLAS reads its variable when it is used for the first time, which is in the first step.
    _set(before[0] if before[0] in _FIXED else _FIXED[0], deterministic=True, benchmark=False)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        _set(before[0], *before[1:])
        torch.use_deterministic_algorithms(strict, warn_only=lenient)


def _set(workspace: str | None, deterministic: bool, benchmark: bool) -> None:
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark
    if workspace is None:
        os.environ.pop(_WORKSPACE, None)
    else:
        os.environ[_WORKSPACE] = workspace


def refused(error: BaseException) -> tuple[str, str] | None:
    """What cannot be done deterministically, and what helps, where that is what an error of torch says."""
    if _TOO_LATE in str(error):
        help = f"start with {_WORKSPACE}={_FIXED[0]} in the environment"
        return "cuBLAS was used before its workspace was fixed", help
    if match := _REFUSED.search(str(error)):
        help = "`train.deterministic: false` runs it: then two runs may differ in their last digits"
        return f"torch knows no deterministic algorithm for `{match[1]}`", help
    return None
