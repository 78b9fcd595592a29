"""Commands about specs as texts: validate, schema."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..diagnostics import Diagnostic
from ..diagnostics.notices import doing
from ..system.files import exists
from .options import main, predicted_on
from .output import echo, echo_json
from .shared import cannot_read, fail, show

if TYPE_CHECKING:
    from ..system.devices import Device

FORMATS = ("human", "concise", "json", "github", "sarif")


@main.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC... [KEY=VALUE]...")
@predicted_on
@click.option("--format", "form", type=click.Choice(FORMATS), default="human", help="How diagnostics are printed.")
def validate(specs: tuple[str, ...], device: Device, form: str) -> None:
    """Check specs and report everything that is wrong with them."""
    from ..checking import check

    files, overrides = [s for s in specs if not _is_override(s)], [s for s in specs if _is_override(s)]
    if not files:
        raise click.UsageError("no spec file given")
    found: list[Diagnostic] = []
    sources: dict[str, str] = {}
    unread: list[str] = []
    for file in files:
        try:
            with doing(f"checking {file}"):
                report = check(file, overrides, device)
        except OSError as error:
            unread.append(cannot_read(file, error))
            continue
        found += report.diagnostics
        sources |= report.sources
        if form == "human" and not any(d.is_error for d in report.diagnostics):
            echo(f"{file}: ok")
    if found or form in ("json", "sarif"):
        show(found, sources, form, to_stdout=form != "human")
    if unread:
        key = next((file for file in files if _is_key(file)), None)
        help = () if key is None else (f"to change a key, give its value: `{key}=...`",)
        fail(2, "\nerror: ".join(unread), *help)
    sys.exit(any(d.is_error for d in found))


def _is_override(word: str) -> bool:
    """Whether a word of the command line is ``key.path=value`` and not a file."""
    return "=" in word and not exists(word)


def _is_key(word: str) -> bool:
    """Whether a word of the command line looks like the key of an override, and no file is called so."""
    from ..spec.models import SpecModel

    named = word.partition(".")[0] in SpecModel.model_fields
    return named and not word.endswith((".yaml", ".yml")) and not exists(word)


@main.command()
def schema() -> None:
    """Print the JSON Schema of the language, for editors."""
    from ..spec.json_schema import json_schema

    echo_json(json_schema())
