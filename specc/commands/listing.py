"""The command that lists runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import FOLDER, main
from .output import echo
from .tables import echo_table, table_format


@main.command("runs")
@click.argument("pattern", default="*")
@click.option("--root", type=FOLDER, default=Path("runs"), show_default=True, help="The folder to look in.")
@table_format
def runs_command(pattern: str, root: Path, form: str) -> None:
    """List the runs in a folder: what has become of them, how good they are, and how they go on.

    PATTERN, with * and ?, is of the way from the folder to a run, or of one of the names on it. Whatever is damaged or
    missing in a run is said, and the others are listed all the same.
    """
    from time import time

    from ..diagnostics.notices import counted, doing
    from ..runs import find_runs, read_run
    from ..views.runs import runs_document, runs_lines, runs_table

    with doing("reading runs") as so_far:
        found = find_runs(root, pattern)
        records = [read_run(path, with_plan=False) for path in counted(found, so_far, len(found))]
    now = time()
    document = runs_document(records, now)
    if form != "human" or records:
        echo_table(form, runs_table(records, root, now), document, document["runs"])
    for line in runs_lines(records):
        echo(line, err=form != "human" or not sys.stdout.isatty())  # where a program may read the table
    if not records:
        echo(f"no runs {'of that name ' if pattern != '*' else ''}in {root}", err=True)
