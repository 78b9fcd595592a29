"""The command line: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import benchmarks.gpu

from . import page
from .documents import DONE
from .parts import NAMES, PARTS
from .running import ending, machine_of, run_all


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=benchmarks.gpu.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("command", nargs="?", choices=["run", "page"], default="run", help="`page` writes docs/gpu.md")
    parser.add_argument("--device", default="cuda", help="`cuda` (the default), `cuda:1`, or `cpu` for stand-ins")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the JSON files are (docs/gpu)")
    parser.add_argument("--minutes", type=float, default=25.0, help="for everything together (25)")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="PART", help=", ".join(NAMES))
    parser.add_argument("--again", action="store_true", help="measure what is there already once more")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = arguments_of(words)
    if arguments.command == "page":
        target = page.write(arguments.out or page.FIGURES)
        print(f"wrote {target}")
        return 0
    if not arguments.minutes > 0:
        return failed(f"--minutes takes a time, not {arguments.minutes:g}")
    if arguments.device.startswith("cpu") and arguments.out is None:
        return failed("figures of a CPU are stand-ins, which do not go into docs/gpu: name a folder with --out")
    return measure(arguments, (arguments.out or page.FIGURES).resolve())


def tell(line: str) -> None:
    """Say it at once, whatever stdout is."""
    print(line, flush=True)


def measure(arguments: argparse.Namespace, folder: Path) -> int:
    """Run the parts and sum up."""
    machine = machine_of(arguments.device)
    if "error" in machine:
        return failed(machine["error"], "`--device cpu --out DIR` tries all parts on stand-ins")
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [part for part in PARTS if not arguments.only or part.name in arguments.only]
    print(page.introduction(machine), flush=True)
    found = run_all(chosen, arguments.device, folder, 60 * arguments.minutes, machine, arguments.again, tell)
    print("\nsummary")
    for part, document in zip(chosen, found, strict=True):
        print(f"  {part.name:12} {ending(document)}")
    print(f"the files are in {folder}; in docs/gpu, `python -m benchmarks.gpu page` makes docs/gpu.md of them")
    return int(any(each["status"] != DONE or any(row.get("error") for row in each["rows"]) for each in found))


def failed(message: str, *help: str) -> int:
    print("\n".join([f"error: {message}", *(f"  = help: {line}" for line in help)]), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
