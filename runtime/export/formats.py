"""The formats of exports, by what is asked for and the file's ending: what is written, and what that computes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor

from ..engine.session import Session
from . import graphs, own, twins
from .trained import Trained

Run = Callable[[Tensor], Tensor]  # normalised images to logits


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written; `read` makes its bytes a network again, with the facts that it holds (None: no room)."""

    write: Callable[[Trained], bytes]
    read: Callable[[Trained, bytes], tuple[Run, dict[str, str] | None]]


def _write_tensors(trained: Trained) -> bytes:
    return safetensors.torch.save(trained.tensors, {"format": "pt", "names": "canonical", **trained.facts})


def _read_tensors(trained: Trained, content: bytes) -> tuple[Run, dict[str, str] | None]:
    """Into a network that has no numbers of its own."""
    session = Session(trained.plan, initialise=False)
    tensors = session.model.tensors()
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.fill_(torch.nan if tensor.is_floating_point() else -1)
        for name, tensor in safetensors.torch.load(content).items():
            tensors[name].copy_(tensor)
    return Trained(session, trained.unit, {}).predictor, _metadata(content)


def _write_twin(trained: Trained) -> bytes:
    return safetensors.torch.save(twins.state(trained), {"format": "pt", "names": "torchvision", **trained.facts})


def _read_twin(trained: Trained, content: bytes) -> tuple[Run, dict[str, str] | None]:
    return twins.loaded(trained, safetensors.torch.load(content)), _metadata(content)


def _write_own(trained: Trained) -> bytes:
    return safetensors.torch.save(own.state(trained), {"format": "pt", "names": "own", **trained.facts})


def _read_own(trained: Trained, content: bytes) -> tuple[Run, dict[str, str] | None]:
    return own.loaded(trained, safetensors.torch.load(content)), _metadata(content)


def _pickle_twin(trained: Trained) -> bytes:
    file = io.BytesIO()
    torch.save(twins.state(trained), file)
    return file.getvalue()


def _unpickle_twin(trained: Trained, content: bytes) -> tuple[Run, dict[str, str] | None]:
    return twins.loaded(trained, torch.load(io.BytesIO(content), weights_only=True)), None


def _metadata(content: bytes) -> dict[str, str]:
    """What a safetensors file says beside its tensors, in the JSON that it begins with."""
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return found


_PICKLED = Format(_pickle_twin, _unpickle_twin)
FORMATS: dict[str, dict[str, Format]] = {  # the first ending is what a file gets where nobody says
    "safetensors": {".safetensors": Format(_write_tensors, _read_tensors)},
    "module": {".safetensors": Format(_write_own, _read_own)},
    "torchvision": {".safetensors": Format(_write_twin, _read_twin), ".pt": _PICKLED, ".pth": _PICKLED},
    "onnx": {".onnx": Format(graphs.to_onnx, graphs.from_onnx)},
    "torch_export": {".pt2": Format(graphs.to_program, graphs.from_program)},
}
