"""A tracer in a process of its own: what is to be traced comes in on stdin, the answer goes out on the last line."""

from __future__ import annotations

import sys

from specc.graph.ops import ShapeError
from specc.graph.problems import BackboneError
from specc.graph.traced.tracing import Answer, answers, sources

from .laboratory import trace


def main() -> None:
    """Trace what is asked for."""
    try:
        answer = Answer(trace(sources().validate_json(sys.stdin.buffer.read())))
    except ShapeError as error:
        answer = Answer(misfit=str(error))
    except BackboneError as error:
        answer = Answer(problems=error.problems)
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\n" + answers().dump_json(answer) + b"\n")


if __name__ == "__main__":
    main()
