"""`--device-profile`: which device a prediction of memory and time is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .options import Value

if TYPE_CHECKING:
    from ..profiles import Profile
    from ..system.devices import Device


class ProfileName(Value):
    """A device profile: of specc, of this machine, or a file's."""

    name = "profile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Profile:
        """The profile."""
        from ..profiles import UnknownProfile, find

        try:
            return find(value)
        except UnknownProfile as error:
            self.fail("; ".join((str(error), *error.help)), param, ctx)


def device_profile(command: Callable[..., Any]) -> Callable[..., Any]:
    """The device whose times are predicted, and by whose rules memory is."""
    return click.option(
        "--device-profile",
        "profile",
        type=ProfileName(),
        metavar="NAME",
        help="Predict for this device: one of `specc doctor`'s, or a file; by default what was measured here.",
    )(command)


def predicted_for(kind: Device, profile: Profile | None, *, said: bool) -> tuple[Device, Profile | None]:
    """The kind of device and its profile; `said`: the kind is what somebody asks for, not what is here."""
    from ..profiles import here

    if profile is None:
        return kind, here(kind)
    if said and kind != profile.kind:
        raise click.UsageError(f"--device-profile {profile.name} is of a {profile.kind} device, --device of a {kind}")
    return profile.kind, profile


def is_given(*names: str) -> bool:
    """Whether somebody typed one of the options."""
    context = click.get_current_context()
    return any(context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE for name in names)
