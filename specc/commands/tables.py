"""The formats of a table, for all commands that end in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .output import echo, echo_json
from .shared import console

if TYPE_CHECKING:
    from ..views import Table

FORMATS = ("human", "json", "csv", "markdown", "latex")
table_format = click.option(
    "--format", "form", type=click.Choice(FORMATS), default="human",
    help="For people; a JSON document; its rows as CSV; what people see as Markdown, or as LaTeX (booktabs).",
)  # fmt: skip


def echo_table(form: str, table: Table, document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write it: `document` is all of it for machines, `rows` the part that is a table."""
    from ..views.sheets import TEXTS

    if form == "json":
        echo_json(document)
    elif form == "human":
        console(stderr=False).print(table)
    else:
        echo(TEXTS[form](table, rows))
