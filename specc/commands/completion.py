"""The command that prints what a shell has to read for completion."""

from __future__ import annotations

import click

from .options import main
from .output import write

SHELLS = ("bash", "zsh", "fish")


@main.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete specc's commands, keys, codes, recipes and run directories.

    \b
    bash:  echo 'eval "$(specc completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(specc completion zsh)"' >> ~/.zshrc
    fish:  specc completion fish > ~/.config/fish/completions/specc.fish
    """
    from ..completion import script

    write(script(shell, main).rstrip("\n"))
