"""The command group, and what its commands take: arguments, options and their types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import __version__
from .program import Program

Command = Callable[..., Any]

FILE, FOLDER = click.Path(dir_okay=False, path_type=Path), click.Path(file_okay=False, path_type=Path)
human_or_json = click.option(
    "--format", "form", type=click.Choice(("human", "json")), default="human", help="For people, or a JSON document."
)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="specc")
def main() -> None:
    """Compile and run supervised local learning described in YAML."""


class Value(click.ParamType):  # type: ignore[type-arg]  # it became generic in a later click than the oldest we take
    """What is read from one word of a command line."""


def spec_argument(command: Command) -> Command:
    """One spec file and any number of overrides."""
    command = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")(command)
    return click.argument("spec", type=FILE)(command)


def device_options(command: Command) -> Command:
    """Where to run."""
    command = click.option("--device", help="`cpu`, `cuda`, `cuda:1`; by default the first GPU, or else the CPU.")(
        command
    )
    return click.option("--gpu", type=click.IntRange(min=0), help="Number of the CUDA device.")(command)


def with_report(command: Command) -> Command:
    """Whether a page about the run is written at its end."""
    return click.option("--report/--no-report", default=True, help="Write `report.html` at the end; by default it is.")(
        command
    )


def one_device(gpu: int | None, device: str | None) -> None:
    """Refuse two answers to one question."""
    if gpu is not None and device is not None:
        raise click.UsageError("give either --gpu or --device")


def predicted_on(command: Command) -> Command:
    """The device whose memory is predicted."""
    return click.option(
        "--device",
        type=DeviceKind(),
        default="",
        help="Predict for `cpu` or `cuda`; by default for what `run` would take.",
    )(command)


class DeviceKind(Value):
    """A device by whose rules memory is predicted."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Which kind it is."""
        from ..system.devices import kind_of_device

        return kind_of_device(value or None) or self.fail(
            f"`{value}` is not a device: they are `cpu`, `cuda`, `cuda:1`, ..."
        )


class MemorySize(Value):
    """A memory size such as ``4GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        from pydantic_core import PydanticCustomError

        from ..language.schema import parse_bytes

        try:
            return int(parse_bytes(value))
        except PydanticCustomError as error:
            help = (error.context or {}).get("help")
            self.fail(f"{error.message()}; {help}" if help else error.message(), param, ctx)
