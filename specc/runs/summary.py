"""What summary.json says, with the types that it says it in; what an older specc did not say is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

Figures = dict[str, float]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Memory(_Document):
    """Bytes of one step: predicted, measured, allowed."""

    budget_bytes: int | None = None
    predicted_peak_bytes: int = 0
    measured_peak_bytes: int = 0
    within_budget: bool = True
    requested_peak_bytes: int | None = None
    allocated_peak_bytes: int | None = None
    margin_bytes: int | None = None


class Units(_Document):
    """The figures of every unit that tells by itself what the network is to tell."""

    test: Figures = {}
    validation: Figures = {}


class Hardware(_Document):
    """What the times depend on."""

    processor: str = ""
    gpu: str | None = None
    cores: int | None = None
    threads: int | None = None
    torch: str = ""


class Epoch(_Document):
    """An entry of the history: what no longer was a number is None."""

    epoch: int | None
    lr: float | None = None
    seconds: float | None = None
    train: dict[str, float | None] = {}
    test: dict[str, float | None] = {}
    validation: dict[str, float | None] = {}
    units: dict[str, dict[str, float | None]] = {}


class Best(_Document):
    """The best evaluation, and what its checkpoint is worth on the test set, where that was looked at."""

    metric: str
    value: float
    epoch: int
    checkpoint: str
    test: Figures = {}


class Rank(_Document):
    """What one of several devices took."""

    device: str = ""
    predicted_peak_bytes: int = 0
    measured_peak_bytes: int = 0


class Devices(_Document):
    """How a run was spread over several devices."""

    data_parallel: int = 1
    block_parallel: int = 1
    stages: list[int] = []
    ranks: list[Rank] = []


class Summary(_Document):
    """How a run ended."""

    name: str = ""
    status: str = ""
    cause: str | None = None
    spec_sha256: str = ""
    plan_fingerprint: str = ""
    device: str = ""
    devices: Devices | None = None
    hardware: Hardware = Hardware()
    task: str = ""
    seed: int | None = None
    batch_size: int | None = None
    parameters: dict[str, int] = {}
    flops_per_image: int | None = None
    epochs: int = 0
    epochs_planned: int | None = None
    steps: int = 0
    wall_seconds: float | None = None
    stopped_early: str | None = None
    test: Figures = {}
    validation: Figures = {}
    units: Units = Units()
    best: Best | None = None
    skipped_images: int = 0
    memory: Memory = Memory()
    step_seconds_median: float = 0.0
    images_per_second: float = 0.0
    history: tuple[Epoch, ...] = ()


def summary(document: Mapping[str, Any]) -> Summary:
    """What the document says; `ValueError` where that is not what a summary may say."""
    try:
        return Summary.model_validate({**document, "history": tuple(document.get("history", ()))})
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(f"{part!s:.60}" for part in found["loc"])
        raise ValueError(f"{where:.200}: {found['msg']:.200}") from None
    except TypeError:
        raise ValueError("history: it is no list") from None
