"""The launcher with two ranks of `tests/stepping.py`: `python -m tests.launching SPEC STEPS TIMEOUT [WHAT]`."""

from __future__ import annotations

import sys

from runtime.distributed import launcher
from specc.commands.shared import failures_shown

launcher.ALONE = 2.0
with failures_shown():
    launcher.start(launcher.Launch(2), sys.argv[1:], "tests.stepping")
