"""The numbers of a file that a plan's backbone begins with, read when they are put in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from specc.diagnostics.notices import notice
from specc.graph.graph import Node
from specc.graph.problems import BackboneError
from specc.plan import Plan
from specc.spec.sections.weights import Weights
from specc.weights.header import Entry, WeightsError
from specc.weights.matching import Match, match, tensors_of
from specc.weights.shards import digest_of, entries_of, is_safe

from ..errors import RunError
from .own import numbers


class Numbers(Mapping[str, Tensor]):
    """By the plan's names, of files that are open as long as this is there; what they have not is as it was drawn.

    `read` gives a tensor by the name that it has in its file.
    """

    def __init__(self, pairs: Mapping[str, str], read: Callable[[str], Tensor], drawn: Mapping[str, Tensor]) -> None:
        self._pairs, self._read, self._drawn = pairs, read, drawn

    def __getitem__(self, name: str) -> Tensor:
        return self._read(self._pairs[name]) if name in self._pairs else self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._drawn, **self._pairs})

    def __len__(self) -> int:
        return len({**self._drawn, **self._pairs})


def beginnings(plan: Plan, seed: int, *, drawn: bool, load: bool) -> Mapping[str, Tensor]:
    """What is not drawn by specc's rules: of the plan's weights, else of what the network's own code begins with."""
    own = numbers(plan, seed) if drawn else {}
    return weights_of(plan, own) if load and plan.config.weights is not None else own


def weights_of(plan: Plan, drawn: Mapping[str, Tensor]) -> Numbers:
    """What the file gives its backbone; raises `RunError` where it cannot."""
    asked = plan.config.weights
    if not isinstance(asked, Weights) or asked.file is None:
        raise RunError("a plan says which file of weights it begins with, and this one does not")
    try:
        if (digest := digest_of(asked.file)) != asked.sha256:
            help = ("plan the spec anew, where the new file is meant",)
            raise RunError(f"{asked.file} has changed since the plan was made: its SHA-256 is {digest}", help)
        torchs = None if is_safe(asked.file) else _of_torch(asked.file)
        entries = entries_of(asked.file) if torchs is None else {name: _entry(x) for name, x in torchs.items()}
        found = match(tensors_of(_nodes(plan)), plan.config.backbone, entries, asked)
        if torchs is not None:
            _check(found, asked.file, strict=asked.strict)
        return Numbers(found.pairs, _reader(entries) if torchs is None else torchs.__getitem__, drawn)
    except (WeightsError, SafetensorError) as error:
        raise RunError(str(error), getattr(error, "help", ())) from None


def _reader(entries: Mapping[str, Entry]) -> Callable[[str], Tensor]:
    """Of safetensors files, all of which are opened here."""
    opened: dict[str, Any] = {path: safe_open(path, "pt") for path in {entry.file for entry in entries.values()}}
    return lambda name: opened[entries[name].file].get_tensor(name)


def _nodes(plan: Plan) -> Iterator[Node]:
    """Those of the whole backbone, of which a rank may have a part."""
    if plan.layout is None:
        return (node for block in plan.blocks for node in plan.networks[block.name].graph.nodes)
    try:
        return plan.config.network(plan.data).nodes
    except BackboneError as error:
        raise RunError(str(error)) from None


def _of_torch(path: str) -> dict[str, Tensor]:
    """A state as `torch.save` keeps it, or one that lies in a checkpoint under the usual names; no code is run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=None)
    except Exception as error:
        raise RunError(f"{path} is no file of weights: {str(error).splitlines()[0][:200]}") from None
    for key in ("state_dict", "model", "model_state_dict"):
        found = found[key] if isinstance(found, dict) and isinstance(found.get(key), dict) else found
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise RunError(f"{path} holds no tensors by name", ("save a `state_dict()`, best as safetensors",))
    return found


def _entry(x: Tensor) -> Entry:
    return Entry(tuple(x.shape), not x.is_floating_point())


def _check(found: Match, path: str, *, strict: bool) -> None:
    """What the compiler says of a safetensors file, for one that it could not read."""
    lines = (*found.lines(), *((f"with `prefix: {found.prefix}` names match",) if found.prefix else ()))
    if not found.pairs:
        raise RunError(f"{path} has no tensor of the backbone", lines)
    if strict and not found.whole:
        help = (*lines, "`weights: {strict: false}` begins what does not match anew")
        raise RunError(f"{path} is not of this backbone, to the last tensor", help)
    for line in lines:
        notice(f"warning: {path}: {line}")
