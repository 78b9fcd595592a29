"""The user's cache directory."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import gettempdir

from platformdirs import user_cache_path


def directory() -> Path:
    """``$SPECC_CACHE``, else specc's own folder where this system keeps such things: ``~/.cache/specc`` on Linux."""
    own = os.environ.get("SPECC_CACHE")
    return Path(own) if own else _of_this_system() or Path(gettempdir()) / "specc"


def _of_this_system() -> Path | None:
    """None for a user without a home, as containers have them: platformdirs raises, or leaves the ``~`` as it is."""
    try:
        found = user_cache_path("specc", appauthor=False)
    except RuntimeError:
        return None
    return found if found.is_absolute() else None
