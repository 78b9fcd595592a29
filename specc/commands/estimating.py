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

NamedShape = tuple[str, tuple[int, ...]]  # no name: it goes by its place


class SampleShape(Value):
    """The shape of a sample, such as ``3x224x224``, or of one of several inputs, such as ``row=5``."""

    name = "[NAME=]SHAPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NamedShape:
        """Channels, height and width; or those of a signal, or of a volume; or the length of a text."""
        name, _, shape = value.rpartition("=")
        named = value == shape or name.isidentifier()
        if not named or not re.fullmatch(r"[1-9][0-9]{0,6}([x×,][1-9][0-9]{0,6}){0,3}", shape):
            form = "channels, height and width, like 3x224x224; of a signal 1x16000, of a volume 1x32x64x64"
            self.fail(f"`{value}` is no shape of a sample: {form}; of a text its length, like 128", param, ctx)
        return name, tuple(map(int, re.split("[x×,]", shape)))


@main.command()
@click.argument("network")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--input", "shapes", type=SampleShape(), required=True, multiple=True,
              help="The shape of an image: 3x224x224; the length of a text: 128. Once for each input.")  # fmt: skip
@click.option("--vocabulary", type=click.IntRange(min=2), metavar="N",
              help="It reads texts of N tokens; by default, of transformers, those that it knows.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Images, or texts, a step.")
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
    shapes: tuple[NamedShape, ...],
    vocabulary: int | None,
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
    specc estimate transformers:bert --input 128 --budget 8GiB

    A name is one of timm's; torchvision:NAME, transformers:NAME and family:NAME are others. One number is the length
    of a text where NETWORK is one of transformers' or --vocabulary is given, and else so many numbers in a row. The
    budget is about tensors; with --device-profile the step is held to that device's memory, all that a process takes
    of it counted.
    """
    if network.endswith((".yaml", ".yml")):
        raise click.UsageError(f"`{network}` is a spec: `specc plan {network}` predicts what it takes")
    if advice and budget is None:
        raise click.UsageError("--advice is about a budget: give --budget")
    device, _ = predicted_for(device, profile, said=is_given("device"))
    with errors_shown(form):
        from ..estimating import NotAnExample
        from ..estimating import estimate as estimated

        try:
            found = estimated(
                network, _example(shapes), optimizer=optimizer, precision=precision, budget=budget, batch=batch,
                classes=classes, vocabulary=vocabulary, device=device, device_profile=profile, overrides=overrides,
            )  # fmt: skip
        except NotAnExample as error:
            raise click.UsageError(str(error)) from None
        _shown(found, form, advice=advice)
    if found.fits is False:
        sys.exit(1)


def _example(shapes: tuple[NamedShape, ...]) -> Any:
    """What Python would be given: a shape, or several, by name where they have any."""
    names = [name for name, _ in shapes]
    if not any(names):
        return shapes[0][1] if len(shapes) == 1 else tuple(shape for _, shape in shapes)
    if not all(names) or len({*names}) < len(names):
        raise click.UsageError("--input of several inputs: NAME=SHAPE of each, or none of them has a name")
    return dict(shapes)


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
