"""The user's cache directory."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import gettempdir


def directory() -> Path:
    """``$SPECC_CACHE``, else ``specc`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("SPECC_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else _home() / ".cache") / "specc"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without a name, as containers have them
        return Path(gettempdir())
