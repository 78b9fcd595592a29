"""How the processes that decode images take a signal: the run decides when it stops, not they."""

from __future__ import annotations

import os
import signal


def take_no_part(worker: int) -> None:
    """Ignore Ctrl-C, which a terminal sends to them too; leave without a word on SIGTERM, which also ends an epoch.

    A worker that dies of a signal is an error in the middle of whatever the run does just then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
