"""Profiles by name: the sheets that come with specc, what was measured here, and files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..diagnostics.values import did_you_mean
from ..system import files
from ..system.devices import Device
from .model import Profile, parsed
from .places import SHEETS, SUFFIX, in_folder
from .store import MOST, stored


class UnknownProfile(ValueError):
    """There is no such profile, or its file holds none."""

    def __init__(self, message: str, *help: str) -> None:
        super().__init__(message)
        self.help = help


def sheets() -> tuple[Profile, ...]:
    """The profiles that come with specc."""
    return tuple(_sheet(path) for path in in_folder(SHEETS))


@cache
def _sheet(path: Path) -> Profile:
    return parsed(path.read_bytes())


def find(name: str) -> Profile:
    """A profile by its name, or by its file's path; raises `UnknownProfile`."""
    if os.sep in name or name.endswith(SUFFIX):
        return _of_file(Path(name))
    known = {profile.name: profile for profile in (*sheets(), *stored())}
    if name not in known:
        help = did_you_mean(name, known)
        raise UnknownProfile(f"there is no device profile `{name:.80}`", *help, "or name a file: ./profile.json")
    return known[name]


def _of_file(path: Path) -> Profile:
    try:
        return parsed(files.read(path, MOST))
    except OSError as error:
        raise UnknownProfile(f"cannot read the device profile {path}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = ": ".join(filter(None, [where, first["msg"]]))
        raise UnknownProfile(f"no device profile is in {path}: {said:.200}") from None
    except ValueError as error:
        raise UnknownProfile(f"no device profile is in {path}: {error!s:.200}") from None


def here(kind: Device) -> Profile | None:
    """The newest profile of this machine that was measured on such a device; None where none was."""
    return next((profile for profile in stored() if profile.kind == kind), None)


def with_margins() -> tuple[Profile, ...]:
    """The newest profile with a margin of every GPU that was measured under the torch that is installed.

    That torch is found without importing it.
    """
    installed = _installed()
    found: dict[str, Profile] = {}
    for profile in stored():
        if profile.kind == "cuda" and profile.margin and _public(profile.versions.get("torch", "")) == installed:
            found.setdefault(profile.device, profile)
    return tuple(found.values())


def newest_with_margin() -> Profile | None:
    """The newest profile of a GPU that has a margin, whatever it was measured with."""
    return next((profile for profile in stored() if profile.kind == "cuda" and profile.margin), None)


def matching(identity: Mapping[str, Any]) -> Profile | None:
    """The newest profile with a margin of exactly this device under these versions (`runtime.engine.device.identity`).

    A processor has no name there: of those, only one is here.
    """
    kind, device, versions = identity["kind"], identity["device"], versions_of(identity)
    for profile in stored():
        same = profile.kind == kind and (kind == "cpu" or profile.device == device)
        if same and profile.margin and versions_of(profile.versions) == versions:
            return profile
    return None


def versions_of(known: Mapping[str, Any]) -> dict[str, str]:
    """Those of the libraries that a device's times and workspaces depend on, as far as there are any."""
    return {name: str(known[name]) for name in ("torch", "cuda", "cudnn") if known.get(name)}


def _installed() -> str:
    try:
        return _public(version("torch"))
    except PackageNotFoundError:
        return ""


def _public(version: str) -> str:
    """Without the build: packages leave `+cu128` out of their metadata or not."""
    return version.partition("+")[0]
