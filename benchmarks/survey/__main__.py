"""How far specc gets with networks of other libraries.

    python -m benchmarks.survey [page] [--only TEXT] [--again] [--limit SECONDS] [--out FILE]

Each network is looked at once, by a process of its own that may take so long; its row goes into a file of JSON lines,
from which the survey goes on where it was stopped. `--again` looks once more at what did not come through. Of the rows
docs/networks.md is made, at the end or by `page` alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .one import become, warm
from .outcome import Row, line, summary
from .page import PAGE, text
from .subjects import Subject, subjects

RESULTS = PAGE.parent / "results" / "networks.jsonl"


def main() -> None:
    """Look at all that were not looked at yet, and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.survey", description=__doc__.splitlines()[0])
    parser.add_argument("do", nargs="?", choices=("run", "page"), default="run")
    parser.add_argument("--only", default="", help="networks whose name has this in it: timm:, swin, ...")
    parser.add_argument("--again", action="store_true", help="look at those again that did not come through")
    parser.add_argument("--limit", type=int, default=300, help="seconds for one network")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file of the rows")
    given = parser.parse_args()
    if given.do == "run":
        survey(given.out, given.only.split(","), given.again, given.limit)
    rows = [Row(row) for row in read(given.out).values()]
    print(summary(rows))
    if given.out == RESULTS:
        PAGE.write_text(text(rows), encoding="utf-8")


def survey(file: Path, only: Sequence[str], again: bool, limit: int) -> None:
    """Look at those with one of the texts in their names that have no row yet, or none that is all that is wished."""
    rows = read(file)
    warm()
    for subject in subjects():
        row = rows.get(subject.key)
        if any(text in subject.key for text in only) and (row is None or (again and not Row(row).through)):
            rows[subject.key] = looked_at(subject, limit)
            write(file, rows)
            print(line(Row(rows[subject.key])), flush=True)


def looked_at(subject: Subject, limit: int) -> dict[str, Any]:
    """What became of it; a process that hangs or dies is a row as well."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_tell, args=(subject, there), daemon=True)
    begin = time.monotonic()
    process.start()
    there.close()  # so that its end is heard of
    row: dict[str, Any] = {"key": subject.key}
    why = f"took more than {limit} seconds"
    try:
        while "seconds" not in row and here.poll(max(0.0, limit - (time.monotonic() - begin))):
            row = json.loads(here.recv_bytes())
    except EOFError:
        process.join()
        why = f"ended by itself, exit code {process.exitcode}"
    process.kill()
    process.join()
    return row if "seconds" in row else row | {"error": why, "seconds": round(time.monotonic() - begin, 1)}


def _tell(subject: Subject, there: Connection) -> None:
    for row in become(subject):
        there.send_bytes(json.dumps(row, allow_nan=False).encode())


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The rows of a file, by their networks."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def write(file: Path, rows: dict[str, dict[str, Any]]) -> None:
    """All rows, in the order of the lists."""
    order = {subject.key: i for i, subject in enumerate(subjects())}
    kept = sorted((row for key, row in rows.items() if key in order), key=lambda row: order[row["key"]])
    file.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in kept))


if __name__ == "__main__":
    main()
