"""Asks data sets in a process of its own: whose comes in on stdin, the answer goes out on the last line."""

from __future__ import annotations

import sys

from specc.tasks.own.asking import Answer, answers, sources
from specc.tasks.own.facts import OwnDataError

from .asking import ask


def main() -> None:
    """Ask what is asked for."""
    try:
        answer = Answer(ask(sources().validate_json(sys.stdin.buffer.read())))
    except OwnDataError as error:
        answer = Answer(error=str(error), help=error.help)
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\n" + answers().dump_json(answer) + b"\n")


if __name__ == "__main__":
    main()
