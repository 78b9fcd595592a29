"""Which words go with which argument of a command: by what it is called, so that a new command is completed as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import click
from click.shell_completion import CompletionItem

from .keys import keys, ops, overrides
from .words import Word, codes, devices, networks, profiles, recipes, run_folders, specs

Words = Callable[[str], Iterable[Word]]


def specs_and_overrides(incomplete: str) -> Iterator[Word]:
    """Either, as one list takes both."""
    return chain(() if "=" in incomplete else specs(incomplete), overrides(incomplete))


def all_explained(incomplete: str) -> Iterator[Word]:
    """Keys, ops and codes, which are found in small letters too."""
    return chain(keys(incomplete), ops(incomplete), codes(incomplete.upper()))


BY_NAME: dict[str, Words] = {
    "spec": specs,
    "specs": specs,
    "overrides": overrides,
    "run_dir": run_folders,
    "run_dirs": run_folders,
    "runs": run_folders,
    "device": devices,
    "profile": profiles,
    "recipe": recipes,
    "network": networks,
}
BY_COMMAND: dict[tuple[str, str], Words] = {
    ("validate", "specs"): specs_and_overrides,
    ("explain", "what"): all_explained,
    ("init", "name"): recipes,
    ("init", "words"): specs,
}


def words_of(command: str, parameter: click.Parameter) -> Words | None:
    """What may stand for a parameter; None where click knows."""
    name = parameter.name or ""
    if isinstance(parameter, click.Option) and name in ("run_dir", "runs"):  # a folder to be made, or a number
        return None
    return BY_COMMAND.get((command, name)) or BY_NAME.get(name)


def attach(program: click.Group) -> None:
    """Give every parameter of every command its words."""
    for name, command in program.commands.items():
        for parameter in command.params:
            words = words_of(name, parameter)
            if words is not None:
                parameter._custom_shell_complete = _completer(words)


def _completer(words: Words) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    return lambda context, parameter, incomplete: [word.item for word in words(incomplete)]
