"""What decides the numbers of a run, as one hash: who may resume a run, and which runs are alike."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..spec.models import SpecModel
from ..spec.sections.devices import Devices
from .moving import MOVING


def fingerprint_of(document: dict[str, Any], config: SpecModel) -> str:
    """SHA-256 of a plan, as JSON has it, without what decides no number (`Plan.fingerprint`)."""
    del document["memory"], document["layout"]
    document["instructions"] = [each for each in document["instructions"] if each["kind"] not in MOVING]
    for key in ("class_names", "files"):
        document["data"].pop(key)
    told = document["config"]
    for key in ("name", "description", "requires", "budget"):
        told.pop(key)
    told["devices"] = _deciding(config.devices)
    for key in ("root", "workers", "download", "on_bad_image"):
        told["data"].pop(key)
    (told["weights"] or {}).pop("file", None)
    for key in ("checkpoint", "evaluate_units", "log", "compile", "graphs", "offload"):
        told["train"].pop(key)
    document = _renamed(document, {path: os.path.basename(path) for path in _paths(config)})
    return hashlib.sha256(json.dumps(document, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _deciding(devices: Devices) -> list[str]:
    """What of the devices decides numbers: however many there are, they make the step of one."""
    decoupled = devices.mode == "decoupled" and devices.block_parallel > 1
    apart = not devices.sync_batch_norm and devices.data_parallel > 1
    return ["decoupled"] * decoupled + ["batch norm"] * apart


def _paths(config: SpecModel) -> Iterator[str]:
    """Where files of the user's own lie, whose contents count: the parts of a network say a hash of theirs."""
    named = (
        getattr(config.backbone, "module", None),
        getattr(config.backbone, "transformers", None),
        config.data.module,
    )
    yield from (each for each in named if each is not None and os.path.isabs(each))


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same with other texts for some, wherever they stand."""
    if not names:
        return value
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value
