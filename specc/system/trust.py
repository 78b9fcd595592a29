"""Whether code that a spec names may be run: only where whoever calls specc says so."""

from __future__ import annotations

import os

TRUST = "SPECC_TRUST_CODE"


def trusted() -> bool:
    """Whether the environment, or `--trust-code`, says so."""
    return os.environ.get(TRUST) == "1"
