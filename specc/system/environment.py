"""``${NAME:-default}`` in path fields of a spec, read when the path is used and nowhere else."""

from __future__ import annotations

import os
import re

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expand_path(path: str) -> str:
    """The path with its variables replaced; a variable that is not set and has no default is empty.

    >>> expand_path("${SPECC_SURELY_UNSET:-data}/cifar")
    'data/cifar'
    """
    return _VARIABLE.sub(lambda match: os.environ.get(match[1]) or match[2] or "", path)
