"""Commands about specs as texts: validate, schema, explain, init."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..diagnostics import Diagnostic
from ..diagnostics.notices import doing
from ..system.files import exists, write_text
from .options import FILE, FOLDER, main, predicted_on
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


@main.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain a code such as SPC204; without one, list all of them."""
    from ..diagnostics import pages

    if code is None:
        echo("\n".join(f"{name}  {title}" for name, title in pages.titles().items()))
        return
    found = pages.find(code)
    if found is None:
        near = "; ".join(f"{name}: {pages.titles()[name]}" for name in pages.nearest(code))
        fail(2, f"no code is called `{code}`", f"nearest: {near}", "`specc explain` lists all codes")
    echo(pages.page(found).rstrip())


@main.command()
@click.argument("file", type=FILE, default=Path("spec.yaml"))
@click.option("--images", type=FOLDER, help="A folder of your own images, in which every class has a folder.")
def init(file: Path, images: Path | None) -> None:
    """Write a commented spec to start from, by default `spec.yaml`."""
    if os.path.lexists(file):
        fail(2, f"{file} exists already", "give another name: `specc init OTHER.yaml`")
    text, about = (_template("starter"), "") if images is None else _of_images(images, file)
    try:
        write_text(file, text)
    except OSError as error:
        fail(2, f"cannot write {file}: {error.strerror}")
    echo(f"wrote {file}{about}; next: specc {'validate' if images is None else 'run'} {file}")


def _of_images(images: Path, file: Path) -> tuple[str, str]:
    """A spec for a folder of images, and the classes that there are."""
    from ..tasks.folders import LAYOUT, FolderError, class_layout, classes_of, listed

    root = os.path.relpath(images, file.parent)
    try:
        layout = class_layout(images)
        names = classes_of(layout) if layout else ()
    except FolderError as error:
        fail(2, str(error), *error.help)
    if not names:
        fail(2, f"{images} has no class folders", f"the layout is {LAYOUT}")
    if not root.isprintable():
        fail(2, f"no spec can hold the path {root!r}", "give the folder a name in UTF-8 without control characters")
    classes = f"{len(names)} classes: {listed(names)}"
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", file.stem).lstrip("_.-") or "images"
    said = {
        "NAME": json.dumps(name, allow_nan=False),
        "ROOT": json.dumps(root, ensure_ascii=False, allow_nan=False),
        "CLASSES": classes,
    }
    return re.sub("|".join(said), lambda match: said[match[0]], _template("images")), f", for {classes}"


def _template(name: str) -> str:
    from importlib.resources import files

    return files("specc").joinpath(f"templates/{name}.yaml").read_text(encoding="utf-8")
