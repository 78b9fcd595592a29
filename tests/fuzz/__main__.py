"""``python -m tests.fuzz [COUNT] [--seed N] [--jobs N]``."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.cases import Failure, search
from tests.fuzz.trees import yaml

MEMORY = 6 << 30  # bytes a process may take: what asks for more gets a MemoryError, which is a failure
CHUNK = 250


def confine() -> None:
    """Limit a worker's memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def show(failure: Failure, seed: int) -> str:
    """A failure as something to put into a test."""
    overrides = "".join(f"\n  {override!a}" for override in failure.case.overrides)
    return f"{failure.told}\n  {yaml(failure.case.data)}{overrides}\n  (seed {seed})"


def main() -> int:
    """Run, show what was found, and say how many."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("count", type=int, nargs="?", default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    began, found = time.monotonic(), dict[str, Failure]()
    chunks = [range(i, min(i + CHUNK, given.count)) for i in range(given.first, given.count, CHUNK)]
    with ProcessPoolExecutor(given.jobs, initializer=confine) as pool:
        for done, failures in enumerate(pool.map(search, [given.seed] * len(chunks), chunks), 1):
            for failure in failures:
                if failure.where not in found:
                    found[failure.where] = failure
                    print(show(failure, given.seed), flush=True)
            if sys.stderr.isatty() or done % 20 == 0:
                print(f"{done * CHUNK:,} cases, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"seed {given.seed}: {given.count - given.first:,} cases, {len(found)} causes of failure")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
