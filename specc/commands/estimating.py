"""`specc estimate`: what training a network would take, and whether that fits."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from .devices import device_profile, is_given, predicted_for
from .options import DeviceKind, MemorySize, Value, human_or_json, main
from .output import echo_json
from .shared import errors_shown, fail, say, show

if TYPE_CHECKING:
    from ..estimating import Estimate
    from ..profiles import Profile
    from ..system.devices import Device


class SampleShape(Value):
    """The shape of a sample, such as ``3x224x224``."""

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Channels, height and width; or those of a signal, or of a volume."""
        if not re.fullmatch(r"[1-9][0-9]{0,6}([x×,][1-9][0-9]{0,6}){1,3}", value):
            form = "channels, height and width, like 3x224x224; of a signal 1x16000, of a volume 1x32x64x64"
            self.fail(f"`{value}` is no shape of a sample: {form}", param, ctx)
        return tuple(map(int, re.split("[x×,]", value)))


@main.command()
@click.argument("network")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--input", "shape", type=SampleShape(), required=True, help="The shape of an image: 3x224x224.")
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Images a step.")
@click.option("--budget", type=MemorySize(), help="The most memory that tensors may take: 8GiB.")
@click.option("--optimizer", default="adamw", show_default=True, help="The optimizer, as a spec names it.")
@click.option("--precision", type=click.Choice(("fp32", "bf16", "fp16")), default="bf16", show_default=True,
              help="Of activations.")  # fmt: skip
@click.option("--classes", type=click.IntRange(min=2),
              help="Classes; by default what the network gives, and 1000 where it asks.")  # fmt: skip
@click.option("--device", type=DeviceKind(), default="cuda", show_default=True,
              help="Predict for `cpu` or `cuda`, whatever is here.")  # fmt: skip
@device_profile
@click.option(
    "--advice", is_flag=True, help="Also compare what would fit the budget: exact training and local methods."
)
@human_or_json
def estimate(
    network: str,
    overrides: tuple[str, ...],
    shape: tuple[int, ...],
    batch: int,
    budget: int | None,
    optimizer: str,
    precision: str,
    classes: int | None,
    device: Device,
    profile: Profile | None,
    advice: bool,
    form: str,
) -> None:
    """Predict what training a network end to end takes: a name, or nets.py:make_net. Exit code 1 if it does not fit.

    \b
    specc estimate convnext_nano --input 3x224x224 --batch 64 --budget 8GiB
    specc estimate torchvision:resnet50 --input 3x224x224 --device-profile rtx3090
    specc estimate nets.py:make_net --input 3x32x32 backbone.args.width=64 --trust-code

    A name is one of timm's; torchvision:NAME, transformers:NAME and family:NAME are others. The budget is about
    tensors; with --device-profile the step is held to that device's memory, all that a process takes of it counted.
    """
    if network.endswith((".yaml", ".yml")):
        raise click.UsageError(f"`{network}` is a spec: `specc plan {network}` predicts what it takes")
    if advice and budget is None:
        raise click.UsageError("--advice is about a budget: give --budget")
    device, _ = predicted_for(device, profile, said=is_given("device"))
    with errors_shown(form):
        from ..estimating import estimate as estimated

        found = estimated(
            network, shape, optimizer=optimizer, precision=precision, budget=budget, batch=batch, classes=classes,
            device=device, device_profile=profile, overrides=overrides,
        )  # fmt: skip
        _shown(found, form, advice=advice)
    if found.fits is False:
        sys.exit(1)


def _shown(found: Estimate, form: str, *, advice: bool) -> None:
    """The estimate, and what to do where it does not fit."""
    from ..views.device import verdict
    from ..views.rivals import rivals_document, rivals_lines, rivals_table

    rivals = found.advice().rivals if advice else None
    if form == "json":
        told = {"rivals": rivals_document(rivals, found.plan.memory.device)} if rivals else {}
        echo_json(found.document() | told)
    else:
        say(*found.parts())
        if rivals is not None:
            say(rivals_table(rivals, found.plan.memory.device), *rivals_lines(rivals))
    said = found.draft.diagnostics if form == "json" else found.diagnostics()
    if said:
        show(said, found.draft.spec.sources, "human")
    if found.answer is not None and found.answer.verdict == "does not fit":
        fail(1, verdict(found.answer))
