"""What the environment decides about folders: ``${NAME:-default}`` in paths of a spec, and the user's cache."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import gettempdir

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expand_path(path: str, base: str = "") -> str:
    """The path with its variables replaced, when it is used and not before; one without a value or default is empty.

    A relative path begins at `base`; the value of a variable, which nobody wrote there, at the current folder.

    >>> expand_path("${SPECC_SURELY_UNSET:-data}/cifar")
    'data/cifar'
    >>> expand_path("${SPECC_SURELY_UNSET:-data}", "specs")
    'specs/data'
    """
    first = _VARIABLE.match(path)
    expanded = _VARIABLE.sub(lambda match: os.environ.get(match[1]) or match[2] or "", path)
    if expanded.startswith("~") or (first and os.environ.get(first[1])):
        return expanded
    return os.path.join(base, expanded)


def cache_folder() -> Path:
    """``$SPECC_CACHE``, else specc's own folder where this system keeps such things: ``~/.cache/specc`` on Linux."""
    own = os.environ.get("SPECC_CACHE")
    return Path(own) if own else _of_this_system() or Path(gettempdir()) / "specc"


def _of_this_system() -> Path | None:
    """None for a user without a home, as containers have them: platformdirs raises, or leaves the ``~`` as it is."""
    from platformdirs import user_cache_path  # not asked for where the environment names a folder, nor needed there

    try:
        found = user_cache_path("specc", appauthor=False)
    except RuntimeError:
        return None
    return found if found.is_absolute() else None
