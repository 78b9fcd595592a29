"""Commands that run something: run, resume, export, doctor."""

from __future__ import annotations

from pathlib import Path

import click

from .calibrating import calibrate as _calibrate
from .options import FILE, FOLDER, device_options, human_or_json, main, one_device, spec_argument, with_report
from .output import echo, echo_json
from .several import among, device_of, place_words, report_words, several, several_options, spread, start
from .shared import compile_shown, errors_shown, failures_shown, loading_torch
from .trained import checkpoint_option


@main.command()
@spec_argument
@device_options
@click.option("--run-dir", type=FOLDER, help="Folder for the results.")
@with_report
@several_options
def run(
    spec: Path, overrides: tuple[str, ...], gpu: int | None, device: str | None, run_dir: Path | None, report: bool,
    nproc: int, nodes: int, rendezvous: str | None, timeout: float,
) -> None:  # fmt: skip
    """Compile a spec, train it, and hold the measured memory against the budget.

    Ctrl-C, SIGTERM and SIGUSR1 finish the step and save a checkpoint, with which `specc resume` goes on; a second one
    stops at once.

    With --nproc it is trained in several processes, one for each device that the spec's `devices` asks for; where the
    spec says nothing of devices, each has a copy of the network. torchrun's processes are taken as they are.
    """
    one_device(gpu, device)
    asked = several(nproc, nodes, rendezvous, timeout, gpu)
    from ..system.devices import kind_of_device

    with errors_shown():
        loaded, changes = spread(spec, overrides, kind_of_device(device, gpu) or "cuda", asked)
        compiled = compile_shown(loaded)
    if asked.starts:
        place = [*place_words(device), *(["--run-dir", str(run_dir)] if run_dir else [])]
        start(asked, ["run", *place, *report_words(report), *asked.words, "--", str(spec), *changes])
        return
    with failures_shown():
        with loading_torch():
            from runtime.run import launch

        chosen = device_of(asked, device, gpu)
        kind = kind_of_device(chosen)
    if kind is not None and kind != loaded.device:  # torch knows better what is here
        loaded = loaded.on(kind)
        with errors_shown():
            compiled = compile_shown(loaded)
    with failures_shown(), among(asked, chosen, compiled):
        launch.run(compiled, loaded, chosen, None, run_dir, report=report)


@main.command()
@click.argument("run_dir", type=FOLDER)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@device_options
@with_report
@several_options
def resume(
    run_dir: Path, overrides: tuple[str, ...], gpu: int | None, device: str | None, report: bool,
    nproc: int, nodes: int, rendezvous: str | None, timeout: float,
) -> None:  # fmt: skip
    """Continue a run from its last checkpoint, with the plan it was started with, as if it had never been stopped.

    A run without a checkpoint begins anew; of one that is complete the results are shown again. It may be given more
    epochs, and other keys that decide how it is trained and not what: train.early_stopping, train.checkpoint,
    train.log, data.workers, data.root, data.download, budget.

    With --nproc it goes on in several processes, as many as its plan has devices. A checkpoint holds for any number of
    them: `specc resume RUN_DIR devices.data_parallel=2 --nproc 2` goes on with a run of one device on two, and
    `specc resume RUN_DIR devices.data_parallel=1` the other way round.
    """
    one_device(gpu, device)
    asked = several(nproc, nodes, rendezvous, timeout, gpu)
    if asked.starts:
        start(
            asked, ["resume", *place_words(device), *report_words(report), *asked.words, "--", str(run_dir), *overrides]
        )
        return
    from ..system.devices import kind_of_device

    with errors_shown(), failures_shown():
        with loading_torch():
            from runtime.run import launch

        from ..memory.prediction import predicted_for

        chosen = device_of(asked, device, gpu)
        kind = kind_of_device(chosen) or "cuda"
        with among(asked, chosen, words=(str(run_dir), *overrides)):
            launch.resume(
                run_dir,
                chosen,
                None,
                predicted_for,
                overrides,
                lambda spec: compile_shown(spec.on(kind)),
                report=report,
            )


@main.command()
@click.argument("run_dir", type=FOLDER)
@click.option(
    "--to", type=click.Choice(("safetensors", "module", "torchvision", "onnx", "torch_export")),
    default="safetensors", show_default=True,
    help="safetensors: the weights under specc's names; module, torchvision: under those of the network's own code, "
    "or of torchvision's model; onnx, torch_export: the network itself.",
)  # fmt: skip
@click.option("-o", "--output", type=FILE, help="The file; by default in RUN_DIR, called by what is in it.")
@click.option("--unit", metavar="K|NAME", help="End with the classifier of a unit: its name, or its last block.")
@checkpoint_option
def export(run_dir: Path, to: str, output: Path | None, unit: str | None, checkpoint: str) -> None:
    """Write the network of a run for use elsewhere: its backbone, or an early exit after one of its units.

    What is written gives the run's own logits, or else nothing is written. Beside the network the file says the names
    of the classes, and how images have to be normalised.
    """
    with failures_shown():
        with loading_torch():
            from runtime.export.writing import export as write

        done = write(run_dir, to, output, unit, checkpoint)
    echo(
        f"wrote {done.path}: {done.network} of checkpoint {done.trained}, "
        f"logits within {done.difference:.1e} of the run's"
    )


@main.command()
@click.option(
    "--calibrate", is_flag=True, help="Measure the device: how long ops take, and what libraries take; three minutes."
)
@device_options
@human_or_json
def doctor(calibrate: bool, gpu: int | None, device: str | None, form: str) -> None:
    """Show what specc finds on this machine, or with --calibrate measure its device.

    A calibration has what times of steps are predicted by, and on a GPU the margin that its libraries take beyond
    predicted memory. It holds for the versions, and on a CPU for the number of threads, that it was made with.
    """
    one_device(gpu, device)
    if calibrate:
        _calibrate(gpu, device, form)
        return
    if gpu is not None or device is not None:
        raise click.UsageError("--gpu and --device go with --calibrate")
    with failures_shown(), loading_torch():
        from runtime.run import doctor as examine

        facts = examine.facts()
    if form == "json":
        echo_json({"format_version": 1, **facts})
    else:
        echo("\n".join(f"{name:12} {value}" for name, value in facts.items()))
