"""`python -m specc.commands.worker WORDS`: the command line, which ends as for Ctrl-C when its parent is gone.

The parent holds the other end of its standard input, which the system closes however the parent ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from ..cli import main


def end_with(pipe: int) -> None:
    """Wait for the end of a pipe, and then ask this process to finish its step, to save, and to end."""
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def tied(pipe: int = 0) -> None:
    """Tie this process to its parent; what reads standard input finds none."""
    kept = os.dup(pipe)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, pipe)
    os.close(nowhere)
    threading.Thread(target=end_with, args=(kept,), daemon=True).start()


if __name__ == "__main__":
    tied()
    sys.argv[0] = "specc"
    main()
