"""`train.compile`: every piece of a network through torch.compile; what cannot be compiled is run as it is, and said.

A piece is what is computed again as a whole, or all of a network: so early frees, gradients that end at a unit, and
recomputation stay what they are. Compiled is what training records; evaluations compute what `specc evaluate` does.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils._triton import has_triton

from specc.diagnostics.notices import notice
from specc.graph.graph import Graph

from .device import first_line
from .model import Model
from .network import GraphModule, Run

Piece = Callable[[Tensor, Tensor | None, tuple[Tensor, ...]], tuple[Tensor, ...]]
BACKEND = "inductor"


def compile_networks(model: Model, device: torch.device) -> None:
    """Have every piece of every network compiled where it is first trained; nothing where no compiler is found."""
    if missing := without_compiler(device):
        notice(f"warning: `train.compile` has no effect: {missing}")
        return
    # Which the compiler does itself, as it looks at what a piece reads: features of the piece before, for one.
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
    summed = {link.ema for link in model.links if link.bias and link.mode == "parameter"}  # with others' parameters
    for name, network in model.networks.items():
        if name not in summed:
            _compile(name, network)


def without_compiler(device: torch.device) -> str | None:
    """What is missing here for torch's compiler, in words."""
    if BACKEND != "inductor":
        return None
    if device.type == "cuda":
        return None if has_triton() else "Triton is not installed, which makes a GPU's kernels"
    found = shutil.which(os.environ.get("CXX", "").split(" ")[0] or "g++") or shutil.which("clang++")
    if found is None:
        return "there is no C++ compiler (g++ or clang++, or what `CXX` names)"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return None if header.exists() else f"Python's headers are not installed ({header})"


def _compile(name: str, network: GraphModule) -> None:
    for module in [network, *(network.variant(n + 1) for n in range(len(network.others)))]:
        several = len(module.runs) > 1
        for run in module.runs:
            run.compiled = Compiled(run, f"{name} from {run.graph.nodes[0].name} on" if several else name)


class Compiled:
    """A piece that is compiled where it is first recorded; one that cannot be is run as it is from then on."""

    def __init__(self, run: Run, name: str) -> None:
        self.name, self._plain = name, run.plain
        self._compiled: Piece | None = torch.compile(_apart(run), backend=BACKEND, dynamic=False, fullgraph=True)

    def __call__(self, x: Tensor, images: Tensor | None, skips: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
        """The piece's output, and what it gives beside it."""
        if self._compiled is None or not recorded():
            return self._plain([x], images, skips)
        try:
            return self._compiled(x, images, skips)
        except RuntimeError as error:
            from torch._dynamo.exc import TorchDynamoException  # which takes seconds to import, and is there by now

            if not isinstance(error, TorchDynamoException):
                raise  # of the step itself; those are of the compiler, before anything is computed
            self._compiled = None
            notice(f"warning: `{self.name}` is not compiled, and runs as it is: {_reason(error)}")
        return self._plain([x], images, skips)


def recorded() -> bool:
    """Whether this is a step's forward, and nobody counts its tensors, which a compiled piece would hide."""
    return torch.is_grad_enabled() and _get_current_dispatch_mode() is None


def _apart(run: Run) -> Piece:
    """The piece as a function whose code is its own: torch counts how often code is compiled anew, and gives up."""

    def piece(x: Tensor, images: Tensor | None, skips: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return run.plain([x], images, skips)

    code = piece.__code__.replace(co_name=_identifier(run.graph))
    return FunctionType(code, piece.__globals__, code.co_name, None, piece.__closure__)


def _identifier(graph: Graph) -> str:
    return "piece_" + "".join(c if c.isalnum() else "_" for c in graph.nodes[0].name if c.isascii())


def _reason(error: BaseException) -> str:
    """What went wrong, of the pages that torch says."""
    inner = getattr(error, "inner_exception", None)
    return first_line(inner if isinstance(inner, BaseException) else error)
