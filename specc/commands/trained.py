"""Commands that ask what a run has learnt: evaluate, predict."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from .options import FILE, FOLDER, Command, device_options, human_or_json, main, one_device
from .output import echo, echo_json
from .shared import failures_shown, loading_torch, say, told


def checkpoint_option(command: Command) -> Command:
    """Which of a run's checkpoints."""
    return click.option(
        "--checkpoint", metavar="last|best|N", default="last", show_default=True,
        help="Which one; N is a number of steps.",
    )(command)  # fmt: skip


@main.command()
@click.argument("run_dir", type=FOLDER)
@checkpoint_option
@click.option(
    "--on", type=click.Choice(("test", "validation", "train")),
    help="Which part of the data; by default the test set, where there is one.",
)  # fmt: skip
@click.option("--confusion", type=FILE, metavar="FILE.csv", help="Write what was told of each class as a table.")
@device_options
@human_or_json
def evaluate(
    run_dir: Path,
    checkpoint: str,
    on: str | None,
    confusion: Path | None,
    gpu: int | None,
    device: str | None,
    form: str,
) -> None:
    """Say how good a run's network is: as a whole, unit by unit and class by class."""
    one_device(gpu, device)
    with failures_shown():
        with loading_torch():
            from runtime.run.judging import judge
            from runtime.run.trained import open_trained

        document = judge(open_trained(run_dir, checkpoint, device, gpu), on, confusion)
    if form == "json":
        echo_json(document)
        return
    from ..views.trained import evaluation_parts

    say(*evaluation_parts(document))
    if confusion is not None:
        echo(f"wrote {confusion}", err=True)


@main.command()
@click.argument("run_dir", type=FOLDER)
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="IMAGE...")
@checkpoint_option
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to name.")
@device_options
@human_or_json
def predict(
    run_dir: Path, images: tuple[Path, ...], checkpoint: str, top: int, gpu: int | None, device: str | None, form: str
) -> None:
    """Say what a run's network makes of images: files, or folders of them.

    They are read, sized and normalised as the run's own data were. One that cannot be read is named, the others are
    told all the same, and the exit code is 3.
    """
    one_device(gpu, device)
    with failures_shown():
        with loading_torch():
            from runtime.run.predicting import predict as told_of
            from runtime.run.trained import open_trained

        who = open_trained(run_dir, checkpoint, device, gpu)
        found = _shown(told_of(who, images, top), form)
    if form == "json":
        echo_json({**who.facts, "images": found})
    if any("error" in each for each in found):
        sys.exit(3)


def _shown(found: Iterable[dict[str, Any]], form: str) -> list[dict[str, Any]]:
    """All of it; people are told of each image as soon as something is known of it."""
    from ..views.trained import prediction_line

    every = []
    for each in found:
        every.append(each)
        if "error" in each:
            told(each["error"], *each["help"])
        elif form == "human":
            echo(prediction_line(each))
    return every
