"""A device profile, and how it is read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from ..system.devices import Device
from .margin import Margin

Above = Annotated[float, Field(ge=1e3, le=1e21)]  # a second, of anything: no device is outside, and times stay numbers
Rate = Literal["matmul", "conv", "other"]  # matrix products, attention's included; convolutions; all other arithmetic
Precision = Literal["fp32", "bf16", "fp16"]
Source = Literal["calibrated", "data sheet"]
Efficient = Literal["matmul", "conv", "grouped", "odd groups", "depthwise", "other", "bandwidth", "host"]
Share = Annotated[float, Field(gt=0, le=1)]


Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Curve:
    """How measured seconds depend on features: factors of what they rise with, and how each point bends that."""

    slopes: tuple[Number, ...]
    weights: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Overhead:
    """Of a kind of instruction in a step: what it takes beside its works, and so many times what these take alone."""

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured of one kind of work: its features, and a curve for each direction."""

    points: tuple[tuple[Number, ...], ...]
    curves: Mapping[str, Curve]

    def __post_init__(self) -> None:
        if not self.points or len(set(map(len, self.points))) != 1:
            raise ValueError("the points of a table have different numbers of features")
        if any(len(curve.weights) != len(self.points) for curve in self.curves.values()):
            raise ValueError("a curve has not as many weights as there are points")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a device computes and moves in a second.

    `rates` are FLOP/s at best, by kind of op and by the precision that a spec names; an op in fp32 counts at what torch
    does with it where nobody says otherwise (on CUDA convolutions in TF32, products not). `efficiency` is the share of
    a rate, and of the bandwidth, that a large op reaches in a network: `grouped` is of a convolution's rate, `odd
    groups` where a group's channels are no power of two, `depthwise` of the bandwidth.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # a key that nobody reads was meant for something

    format_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+_-]*$", max_length=200)]  # as `--device-profile` takes it
    device: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=200)]  # as people call it
    kind: Device
    source: Source
    rates: Annotated[Mapping[Rate, Annotated[Mapping[Precision, Above], Field(min_length=1)]], Field(min_length=1)]
    bandwidth: Above  # bytes a second
    launch_seconds: Annotated[float, Field(ge=0, le=1)]  # what a call takes that computes nothing
    memory_bytes: Annotated[int, Field(gt=0)] | None = None
    efficiency: Mapping[Efficient, Share] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # where figures are from
    date: str = ""  # when it was measured, ISO 8601, UTC
    versions: Mapping[str, str] = field(default_factory=dict)  # of what it was measured with; how many threads
    overheads: Mapping[str, Overhead] = field(default_factory=dict)  # of instructions, by their kinds
    tables: Mapping[str, Table] = field(default_factory=dict)  # of kinds of work, where they were measured
    margin: Margin | None = None  # of memory beyond predicted tensors, where it was measured
    host_bandwidth: Above | None = None  # bytes a second from the host, and to it; `HOST_BANDWIDTH` where nobody knows
    host_memory_bandwidth: Above | None = None  # ... that a step moves on the host; or `HOST_MEMORY_BANDWIDTH`

    def rate(self, kind: Rate, precision: Precision, efficient: Efficient | None = None) -> float:
        """FLOP/s of large ops: of this kind, or else of products; in this precision, or else in fp32."""
        own = self.rates.get(kind) or self.rates.get("matmul") or {}
        peak = own.get(precision) or own.get("fp32") or max(own.values(), default=float("inf"))
        return peak * self.efficiency.get(efficient or kind, self.efficiency.get(kind, 1.0))

    def beyond(self, predicted: int) -> int:
        """Bytes to add to a predicted peak; raises `ValueError` where no margin was measured."""
        if self.margin is None:
            raise ValueError(f"no margin was measured on {self.device}")
        return self.margin.beyond(predicted)

    @property
    def made_with(self) -> str:
        """The versions that it was measured with, as people read them."""
        return ", ".join(f"{_SPELLED.get(name, name)} {version}" for name, version in self.versions.items())

    @property
    def bytes_per_second(self) -> float:
        """What ops reach that only move numbers."""
        return self.moving("bandwidth")

    @property
    def from_the_host(self) -> float:
        """Bytes a second that come from the host, and that go there at the same time."""
        return (self.host_bandwidth or HOST_BANDWIDTH) * self.efficiency.get("host", 1.0)

    @property
    def of_the_host(self) -> float:
        """Bytes a second that the host reads and writes as it makes steps."""
        return self.host_memory_bandwidth or HOST_MEMORY_BANDWIDTH

    def moving(self, efficient: Efficient) -> float:
        """Bytes a second that ops of a kind move."""
        return self.bandwidth * self.efficiency.get(efficient, self.efficiency.get("bandwidth", 1.0))


HOST_BANDWIDTH = 25e9  # an assumption: four fifths of the 31.5 GB/s of PCIe 4.0 x16 (16 GT/s a lane, 128b/130b)
HOST_MEMORY_BANDWIDTH = 100e9  # an assumption: half of a socket with eight channels of DDR4-3200 (204.8 GB/s)
_SPELLED = {"cuda": "CUDA", "cudnn": "cuDNN"}


def parsed(text: str | bytes) -> Profile:
    """The profile that a file holds; `ValueError` where it holds none."""
    return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[Profile]:
    return TypeAdapter(Profile)
