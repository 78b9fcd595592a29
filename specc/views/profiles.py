"""Device profiles as people read them."""

from __future__ import annotations

from collections.abc import Iterator

from ..profiles import Profile
from .margin import calibration_lines
from .margin import summary as margin_summary


def profile_lines(profile: Profile) -> Iterator[str]:
    """What was measured of a device."""
    rates = ", ".join(f"{kind} in {precision} {rate / 1e9:,.4g}" for kind, own in profile.rates.items()
                      for precision, rate in own.items())  # fmt: skip
    yield f"{profile.device}: GFLOP/s at best: {rates}; {profile.bandwidth / 1e9:,.3g} GB/s"
    count = sum(len(table.points) for table in profile.tables.values())
    yield f"{count} works of {len(profile.tables)} kinds; specc plan --device-profile {profile.name}"
    if profile.margin:
        yield from calibration_lines(profile.margin, profile.device)
    yield f"{profile.made_with}, {profile.date}"


def summary(profile: Profile) -> str:
    """One line in a list."""
    when = f"calibrated {profile.date[:10]}" if profile.date else profile.source
    margin = f", margin {margin_summary(profile.margin)}" if profile.margin else ""
    return f"{profile.name}: {profile.device} ({when}{margin})"
