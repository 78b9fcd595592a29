"""What a description names: a function or class of torch, of specc or of an installed package."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from .errors import RunError


def named(name: str, user: str) -> Any:
    """What `package.module:attribute` stands for; `user` is what needs it."""
    try:
        return resolve_name(name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise RunError(f"{user} needs `{name}`, which cannot be imported: {reason}") from error
