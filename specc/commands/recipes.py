"""The command that writes a spec to start from: a template or a recipe, for its own data or for the reader's images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..diagnostics.notices import doing
from ..system.files import write_text
from .options import FOLDER, main
from .output import echo
from .shared import errors_shown, fail, say

if TYPE_CHECKING:
    from ..recipes.adapting import Draft
    from ..recipes.catalogue import Recipe
    from ..recipes.own_images import OwnImages
    from ..system.devices import Device

DEVICES: tuple[Device, ...] = ("cpu", "cuda")
_DEFAULT = "spec.yaml"


@main.command()
@click.argument("words", nargs=-1, metavar="[FILE]")
@click.option("--list", "listing", is_flag=True, help="Show the recipes, or those with all of the words given.")
@click.option("--from", "name", metavar="RECIPE", help="Begin with a recipe, complete in one file.")
@click.option(
    "--data", "--images", "images", type=FOLDER,
    help="Write it for a folder of your own images, in which every class has a folder.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(words: tuple[str, ...], listing: bool, name: str | None, images: Path | None, force: bool) -> None:
    """Write a commented spec to start from, by default `spec.yaml`, or `RECIPE.yaml` with --from.

    With --data it is one for your images: their classes are counted, and what the recipe says of its own images is
    replaced, each time with a comment.
    """
    if listing:
        if name or images or force:
            raise click.UsageError("--list goes with words to look for, and nothing else")
        _list(words)
        return
    if len(words) > 1:
        raise click.UsageError(f"one file is written, and {len(words)} names were given")
    file = Path(words[0] if words else f"{name.removesuffix('.yaml')}.yaml" if name else _DEFAULT)
    if os.path.isdir(file) or (os.path.lexists(file) and not force):
        fail(2, f"{file} exists already", "give another name: `specc init OTHER.yaml`, or --force to replace it")
    text, about = _written(name, images, file)
    try:
        write_text(file, text)
    except OSError as error:
        fail(2, f"cannot write {file}: {error.strerror}")
    echo(f"wrote {file}{about}; next: specc {'validate' if images is None else 'run'} {file}")


def _list(words: tuple[str, ...]) -> None:
    """The recipes by their methods."""
    from ..recipes.catalogue import found
    from ..views.recipes import recipe_table

    recipes = found(words)
    if not recipes:
        fail(2, f"no recipe has {' and '.join(f'`{word}`' for word in words)}", "`specc init --list` shows them all")
    say(recipe_table(recipes))


def _written(name: str | None, folder: Path | None, file: Path) -> tuple[str, str]:
    """A spec, and what it is for."""
    from ..recipes.adapting import for_images, for_its_own_data
    from ..recipes.catalogue import IMAGES, TEMPLATES, UnknownRecipe, recipe, template

    if name is None and folder is None:
        return (TEMPLATES / "starter.yaml").read_text(encoding="utf-8"), ""
    try:
        begun = template(IMAGES) if name is None else recipe(name)
    except UnknownRecipe as error:
        fail(2, str(error), *error.help)
    if folder is None:
        return for_its_own_data(begun, file).text, ""
    with doing(f"looking at {folder}"):
        images = _looked_at(begun, folder, file)
    draft = for_images(begun, images, file)
    _hold_to_budget(draft, file)
    return draft.text, f", for {images.told}"


def _looked_at(begun: Recipe, folder: Path, file: Path) -> OwnImages:
    """What is in the folder, as far as the recipe can learn from it."""
    from ..recipes.adapting import kind_of
    from ..recipes.own_images import look
    from ..tasks.folders import FolderError

    root = os.path.relpath(folder, file.parent)
    if not root.isprintable():
        fail(2, f"no spec can hold the path {root!r}", "give the folder a name in UTF-8 without control characters")
    try:
        return look(folder, kind_of(begun))
    except FolderError as error:
        fail(2, str(error), *error.help)


def _hold_to_budget(draft: Draft, file: Path) -> None:
    """See that the spec is right, and what a step of it takes where it takes most: on a processor or on a GPU."""
    from ..pipeline import compile_spec
    from ..recipes.adapting import budgeted
    from ..spec.load import loads

    with errors_shown(), doing(f"compiling {draft.recipe.name} for your images"):
        spec = loads(draft.without("budget").text, os.fspath(file))
        peak = max(compile_spec(spec.on(device))[0].memory.peak_bytes for device in DEVICES)
    budgeted(draft, peak)
