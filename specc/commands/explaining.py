"""The command that explains: codes, keys of a spec, ops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from ..diagnostics import pages
from ..system.terminal import is_terminal
from .options import main
from .output import echo
from .shared import console, fail, say

if TYPE_CHECKING:
    from ..views import Table


@main.command()
@click.argument("what", required=False, metavar="[CODE|KEY|OP]")
def explain(what: str | None) -> None:
    """Explain a code such as SPC204, a key such as train.optimizer, or an op such as conv.

    Without a name, list all that can be asked for.
    """
    if what is None:
        say(*_listed())
        return
    if (code := pages.find(what)) is not None:
        _print(pages.page(code))
        return
    if what.upper().startswith("SPC"):
        _unknown_code(what)
    from ..reference import keys

    found = keys.page(what) or keys.op_page(what)
    if found is None:
        _unknown(what, keys.nearest(what))
    _print(found)


def _print(page: str) -> None:
    """A page in Markdown: as it is, or as a terminal shows it."""
    if not is_terminal(sys.stdout):
        echo(page.rstrip())
        return
    from ..views.markdown import Page

    console(stderr=False).print(Page(page.rstrip()))


def _unknown_code(name: str) -> NoReturn:
    near = "; ".join(f"{code}: {pages.titles()[code]}" for code in pages.nearest(name))
    fail(2, f"no code is called `{name}`", f"nearest: {near}", "`specc explain` lists all codes")


def _unknown(name: str, nearest: list[str]) -> NoReturn:
    near = "; ".join(f"{code}: {pages.titles()[code]}" for code in pages.nearest(name))
    meant = f"did you mean {' or '.join(f'`{key}`' for key in nearest)}?" if nearest else f"nearest: {near}"
    fail(2, f"no code, key or op is called `{name}`", meant, "`specc explain` lists what can be asked for")


def _listed() -> list[str | Table]:
    """Codes, keys, ops; of keys the mappings, each of which names its own."""
    from ..reference import keys
    from ..views import Column, table

    def listed(title: str, rows: list[tuple[str, str]]) -> Table:
        return table(title, [Column("name", heads=True), Column("about", prose=True)], [], rows)

    return [
        listed("codes", list(pages.titles().items())),
        listed("keys, and those below them: `specc explain train` names its own", keys.listed()),
        listed("ops", keys.ops_listed()),
    ]
