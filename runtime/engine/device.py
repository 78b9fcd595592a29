"""Which device to run on, what it is, and what to say when it is not there or full."""

from __future__ import annotations

from typing import Any

import torch

from specc.system.devices import Device

from ..errors import RunError

KINDS = ("cpu", "cuda")
FULL = (  # the allocators and CUDA itself; cuBLAS and cuDNN say in words of their own that a workspace did not fit
    "out of memory",
    "DefaultCPUAllocator",
    "bad_alloc",
    "annot allocate memory",
    "could not create a primitive",  # oneDNN, which does not say why
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",
)


def choose(name: str | None, gpu: int | None) -> torch.device:
    """The device of ``--device`` or ``--gpu``; the first GPU or else the CPU when neither is given."""
    if gpu is not None:
        return _cuda(gpu)
    if name is None:
        return _cuda(0) if torch.cuda.is_available() else torch.device("cpu")
    help = ("devices are `cpu`, `cuda`, `cuda:1`, ...",)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RunError(f"`{name}` is not a device", help) from None
    if device.type not in KINDS:
        raise RunError(f"specc does not run on `{name}`", help)
    return _cuda(device.index or 0) if device.type == "cuda" else torch.device("cpu")


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
    device = torch.device("cuda", index)
    _wake(device)
    return device


def _wake(device: torch.device) -> None:
    """Run something on the GPU: one that is full, held by another process, or too old for this PyTorch says so here."""
    try:
        torch.cuda.set_device(device)  # or the first call without a device would make a context on GPU 0
        torch.zeros(1, device=device).item()
    except RuntimeError as error:
        help = ("`nvidia-smi` shows who uses it; `--gpu N` takes another, `--device cpu` none",)
        raise RunError(f"GPU {device.index} cannot be used: {first_line(error)}", help) from None


def kind(device: torch.device) -> Device:
    """What plans are made for and profiles are of."""
    return "cuda" if device.type == "cuda" else "cpu"


def describe(device: torch.device) -> str:
    """The device as people know it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def identity(device: torch.device) -> dict[str, Any]:
    """What the workspaces of a device depend on: its name and the versions of the libraries."""
    on_gpu = device.type == "cuda"
    return {
        "kind": device.type,
        "device": describe(device),
        "torch": str(torch.__version__),
        "cuda": (torch.version.cuda or torch.version.hip) if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu and torch.backends.cudnn.is_available() else None,
    }


def ran_out(error: BaseException) -> bool:
    """Whether the device had too little memory, in whichever library's words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in FULL)


def obtainable(device: torch.device) -> int:
    """Bytes of a GPU that this process has or could get: what no other process has taken."""
    try:
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device))
    except RuntimeError:  # a device that has died of an error
        return 0


def first_line(error: BaseException) -> str:
    """What an error says; torch adds pages of advice to it."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
