"""Which device to run on, and what to say when it is not there."""

from __future__ import annotations

import torch

from .errors import RunError


def choose(name: str | None, gpu: int | None) -> torch.device:
    """The device of ``--device`` or ``--gpu``; the first GPU or else the CPU when neither is given."""
    if gpu is not None:
        return _cuda(gpu)
    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RunError(f"`{name}` is not a device", ("devices are `cpu`, `cuda`, `cuda:1`, ...",)) from None
    return _cuda(device.index or 0) if device.type == "cuda" else device


def _cuda(index: int) -> torch.device:
    if not torch.cuda.is_available():
        build = (
            "this PyTorch was built without CUDA" if torch.version.cuda is None else "PyTorch sees no CUDA device here"
        )
        raise RunError(
            f"GPU {index} was asked for, but {build} (torch {torch.__version__})",
            (
                "to run on the processor, replace `--gpu` by `--device cpu`",
                "to see what PyTorch finds, run `specc doctor`",
            ),
        )
    if index >= torch.cuda.device_count():
        raise RunError(
            f"GPU {index} was asked for, but there are only {torch.cuda.device_count()}",
            (f"use `--gpu 0` to `--gpu {torch.cuda.device_count() - 1}`",),
        )
    return torch.device("cuda", index)


def describe(device: torch.device) -> str:
    """The device as people know it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
