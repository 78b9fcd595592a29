"""Commands that run something: run, resume, export, doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .shared import (
    compile_shown,
    device_options,
    errors_shown,
    failures_shown,
    load,
    main,
    one_device,
    spec_argument,
)


@main.command()
@spec_argument
@device_options
@click.option("--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
def run(spec: Path, overrides: tuple[str, ...], gpu: int | None, device: str | None, run_dir: Path | None) -> None:
    """Compile a spec, train it, and hold the measured memory against the budget."""
    one_device(gpu, device)
    with errors_shown():
        loaded = load(spec, list(overrides))
        compiled = compile_shown(loaded)
    with failures_shown():
        from runtime import launch

        launch.run(compiled, loaded, device, gpu, run_dir)


@main.command()
@click.argument("run_dir", type=click.Path(file_okay=False, path_type=Path))
@device_options
def resume(run_dir: Path, gpu: int | None, device: str | None) -> None:
    """Continue an interrupted run from its last checkpoint, with the plan it was started with."""
    one_device(gpu, device)
    with failures_shown():
        from runtime import launch

        launch.resume(run_dir, device, gpu)


@main.command()
@click.argument("run_dir", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "names",
    type=click.Choice(("torchvision", "canonical")),
    help="Names of the tensors; by default torchvision's where it has the model.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.safetensors or FILE.pt; by default backbone.safetensors in the run directory.",
)  # fmt: skip
def export(run_dir: Path, names: Any, output: Path | None) -> None:
    """Write the weights of a run's backbone alone, without the auxiliary networks."""
    with failures_shown():
        from runtime.export import export as write

        done = write(run_dir, names, output)
    click.echo(f"wrote {done.path}: {done.tensors} tensors under {done.names} names")


@main.command()
@click.option("--format", "form", type=click.Choice(("human", "json")), default="human", help="Lines or JSON document.")
def doctor(form: str) -> None:
    """Show what specc finds on this machine."""
    with failures_shown():
        from runtime import doctor as examine

        facts = examine.facts()
    if form == "json":
        click.echo(json.dumps({"format_version": 1, **facts}, indent=2))
    else:
        click.echo("\n".join(f"{name:12} {value}" for name, value in facts.items()))
