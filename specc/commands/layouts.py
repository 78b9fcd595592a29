"""`specc plan --devices`: every layout on so many devices."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ..diagnostics.notices import doing
from .options import MemorySize, Value
from .output import echo_json
from .shared import say

if TYPE_CHECKING:
    from ..plan import Plan
    from ..profiles import Profile
    from ..spec.load import Spec
    from ..timing.events import Links

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
MOST = 1024  # devices that are simulated


class Bandwidth(MemorySize):
    """Bytes a second, such as ``50GB/s``."""

    name = "bandwidth"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes a second."""
        size, slash, unit = str(value).strip().partition("/")
        if slash and unit.strip() != "s":
            self.fail(f"`{value}` is no bandwidth: write a size a second, such as 50GB/s", param, ctx)
        return super().convert(size, param, ctx)


class Duration(Value):
    """A time such as ``5us``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(s|ms|us|µs|ns)\s*", str(value))
        if found is None:
            self.fail(f"`{value}` is no time: write a number and one of {', '.join(_SECONDS)}", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


def layout_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How many devices, and how they are connected."""
    options = (
        click.option("--devices", "count", type=click.IntRange(1, MOST), metavar="N",
                     help="Show every layout on so many devices instead, and what it takes of each."),
        click.option("--bandwidth", type=Bandwidth(), metavar="SIZE/s",
                     help="With --devices: bytes a second that a device sends, and receives, such as 50GB/s."),
        click.option("--latency", type=Duration(), default="5us", show_default=True, metavar="TIME",
                     help="With --devices: how long a message is on its way beside its bytes."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def links_of(count: int | None, bandwidth: int | None, latency: float, *, given: bool) -> Links | None:
    """How devices are connected; None where nobody asks for several."""
    if count is None:
        if bandwidth is not None or given:
            raise click.UsageError("--bandwidth and --latency go with --devices")
        return None
    if bandwidth is None:
        raise click.UsageError("--devices takes --bandwidth, such as --bandwidth 50GB/s")
    from ..timing.events import Links

    return Links(float(bandwidth), latency)


def over_any_budget(spec: Spec) -> Plan:
    """The plan of a spec, which one device may have too little memory for."""
    from ..diagnostics import SpecError
    from ..pipeline import PREDICTING, run_passes

    with doing(f"compiling {spec.config.name}"):
        draft = run_passes(spec, PREDICTING)
    if draft.failed:
        raise SpecError(draft.diagnostics, spec.sources)
    return draft.plan


def show_layouts(compiled: Plan, count: int, links: Links, profile: Profile | None, form: str) -> None:
    """The table, or the document."""
    if profile is None:
        raise click.UsageError("--devices takes --device-profile, or a calibration: specc doctor --calibrate")
    from ..fit.layouts import layouts
    from ..views import layouts as view

    with doing(f"laying {compiled.name} out on {count} devices"):
        found = layouts(compiled, count, links, profile)
    if form == "json":
        echo_json(view.layouts_document(found))
    else:
        say(view.layouts_table(found), *view.layouts_lines(found))
