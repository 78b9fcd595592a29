"""bash, zsh and fish: what each of them runs to ask, and how it is answered; on top of click's own completion."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

from .arguments import attach
from .words import paths

PROGRAM, VARIABLE = "specc", "_SPECC_COMPLETE"
_CURSOR = "\x01"  # stands where the cursor is, so that the word before it is found whatever it is quoted with
_HELP = 60  # characters of it

# After `=`, `.` and `/` a word goes on, and no blank is put behind it. bash breaks words at `=` and `:` too, and then
# replaces only what comes after the last of them.
_BASH = """\
%(complete_func)s() {
    local kind value word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value; do
        [[ $kind == path && $word != [\\"\\']* ]] && printf -v value %%q "$value"
        COMPREPLY+=("$value")
    done < <(env %(complete_var)s=bash_complete COMP_WORDS="${COMP_LINE:0:COMP_POINT}" \\
        SPECC_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]] && type compopt >/dev/null 2>&1; then
        compopt -o nospace
    fi
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local kind value text
    local -a whole open
    while IFS=$'\\t' read -r kind value text; do
        if [[ $value == *[=./] ]]; then
            open+=("${value//:/\\\\:}:$text")
        else
            whole+=("${value//:/\\\\:}:$text")
        fi
    done < <(env %(complete_var)s=zsh_complete COMP_WORDS="${(j: :)words[1,CURRENT-1]} $PREFIX" \\
        "${words[1]}" 2>/dev/null)
    (( $#open )) && _describe -V %(prog_name)s open -S ''
    (( $#whole )) && _describe -V %(prog_name)s whole
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp | string collect) %(prog_name)s 2>/dev/null
end
complete --command %(prog_name)s --no-files --keep-order --arguments "(%(complete_func)s)"
"""


class _Shell(ShellComplete):
    """The line up to the cursor goes in, a line for every word that may stand there comes out."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ["COMP_WORDS"] + _CURSOR)
        return words[1:-1], words[-1].replace(_CURSOR, "")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """What may stand there; nothing where that cannot be found out."""
        try:
            found = super().get_completions(args, incomplete)
        except (OSError, ValueError, click.ClickException):
            return []
        option = incomplete.partition("=")[0] + "=" if incomplete.startswith("-") and "=" in incomplete else ""
        typed = incomplete.removeprefix(option)
        return [_after(option, each) for item in found for each in _expanded(item, typed)]


def _expanded(item: CompletionItem[Any], incomplete: str) -> list[CompletionItem[str]]:
    """click leaves files and folders to the shell, each of which finds them in a way of its own."""
    if item.type in ("file", "dir"):
        return [word.item for word in paths(incomplete, folders=item.type == "dir")]
    return [item] if str(item.value).isprintable() else []


def _after(option: str, item: CompletionItem[str]) -> CompletionItem[str]:
    """A value as it is typed after its option and `=`, which click has left out."""
    return CompletionItem(f"{option}{item.value}", type=item.type, help=item.help) if option else item


def _told(item: CompletionItem[str]) -> str:
    text = " ".join((item.help or "").split())
    return text if len(text) <= _HELP else f"{text[: _HELP - 3]}..."


class Bash(_Shell):
    """bash."""

    name = "bash"
    source_template = _BASH

    def complete(self) -> str:
        """bash replaces what follows the last of the characters at which it breaks words."""
        args, incomplete = self.get_completion_args()
        breaks = [incomplete.rfind(mark) for mark in "=:" if mark in os.environ.get("SPECC_WORDBREAKS", "=:")]
        there = max(breaks, default=-1) + 1
        found = self.get_completions(args, incomplete)
        return "\n".join(f"{item.type}\t{item.value[there:]}" for item in found)


class Zsh(_Shell):
    """zsh."""

    name = "zsh"
    source_template = _ZSH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The word, and what it is."""
        return f"{item.type}\t{item.value}\t{_told(item)}"


class Fish(_Shell):
    """fish."""

    name = "fish"
    source_template = _FISH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The word, and what it is."""
        return f"{item.value}\t{_told(item)}"


SHELLS = {shell.name: shell for shell in (Bash, Zsh, Fish)}


def prepare(program: click.Group) -> None:
    """Let click find our shells, and the commands what their arguments may be."""
    for shell in SHELLS.values():
        add_completion_class(shell)
    attach(program)


def script(shell: str, program: click.Group) -> str:
    """What a shell has to read once."""
    return SHELLS[shell](program, {}, PROGRAM, VARIABLE).source()
