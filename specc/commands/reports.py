"""The command that makes a page of run directories."""

from __future__ import annotations

from pathlib import Path

import click

from .options import FILE, FOLDER, main
from .output import echo
from .shared import fail


@main.command()
@click.argument("run_dirs", type=FOLDER, nargs=-1, required=True, metavar="RUN_DIR...")
@click.option(
    "-o", "--output", type=FILE, metavar="FILE",
    help="The page; by default `report.html` in the run directory, or in this folder where there are several.",
)  # fmt: skip
@click.option("--svg", type=FOLDER, metavar="FOLDER", help="Save its figures as SVG files, for papers, too.")
def report(run_dirs: tuple[Path, ...], output: Path | None, svg: Path | None) -> None:
    """Write one HTML page about a run: memory, learning, time, and what to change next.

    It needs nothing else, neither a network nor a script. Several runs stand side by side, what is different about
    their specs first. `specc run` writes one at its end.
    """
    from ..report.writing import report as write
    from ..runs.finding import is_run

    for folder in run_dirs:
        if not is_run(folder):
            fail(2, f"{folder} is not a run directory", "a run directory is what `specc run` prints at its end")
    try:
        written = write(run_dirs, output, svg)
    except OSError as error:
        fail(3, f"cannot write {error.filename}: {error.strerror}")
    echo("\n".join(f"wrote {path}" for path in written))
