"""The page about the command line, from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from specc.cli import main
from specc.docs.pages import filled


def command_line() -> str:
    """The page as Markdown."""
    commands = {name: each for name, each in sorted(main.commands.items()) if not each.hidden}
    table = "\n".join(f"| [`specc {name}`](#specc-{name}) | {first(command)} |" for name, command in commands.items())
    return filled("cli.md", table=table, commands="\n".join(section(name, each) for name, each in commands.items()))


def first(command: click.Command) -> str:
    """The first sentence of what a command says of itself."""
    return _cell(_paragraphs(command)[0].split(". ")[0].rstrip("."))


def section(name: str, command: click.Command) -> str:
    """A command: how it is typed, what it does, and its options; those of its own commands, where it has some."""
    context = click.Context(command, info_name=f"specc {name}")
    lines = [
        f"## specc {name}",
        "",
        "```text",
        " ".join(["specc", name, *command.collect_usage_pieces(context)]),
        "```",
    ]
    lines += ["", *(line for text in _paragraphs(command) for line in (text, ""))]
    rows = list(_rows(command, context))
    if rows:
        lines += ["| option | what it does |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _rows(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.params:
        record = option.get_help_record(context)
        if record is not None and option.name != "help":
            yield f"| {_cell(f'`{record[0]}`')} | {_cell(record[1])} |"


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    parts = (part for part in text.split("\n\n") if part.strip())
    return [_verbatim(part) if part.startswith("\b") else " ".join(part.split()) for part in parts]


def _verbatim(part: str) -> str:
    return "```text\n" + part.removeprefix("\b").strip("\n") + "\n```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
