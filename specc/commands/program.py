"""The command group: its streams take any text, and what the machine does to a command is said in words."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..diagnostics.words import written
from ..system import ranks, streams
from ..system.trust import TRUST
from .output import clean, echo, make_writable
from .waiting import waits_shown

ENDING = ("SIGTERM", "SIGUSR1")  # what asks a process to end, beside Ctrl-C: who manages a cluster sends them
# How libraries say that there is no memory left, where they do not raise `MemoryError`.
NO_MEMORY = ("cannot allocate memory", "failed to map segment", "can't start new thread", "std::bad_alloc",
             "DefaultCPUAllocator", "can't allocate memory", "Resource temporarily unavailable")  # fmt: skip
NEEDED_TO_RUN = ("torch", "torchvision", "safetensors", "sklearn")  # not to check specs, as action.yml does
FAILED, INTERRUPTED = 3, 130
COMPLETING = "_SPECC_COMPLETE"  # set by a shell's completion: click looks for it under this name


SPECS_MODULE = "the spec's `backbone: {module: ...}`"
TRUSTED = {  # arguments that may name code
    "spec": SPECS_MODULE, "specs": SPECS_MODULE, "network": "NETWORK", "run_dir": SPECS_MODULE,
}  # fmt: skip
GROUPS = {
    "Specs": ("init", "validate", "explain", "schema"),
    "Plans": ("plan", "graph", "fit", "compare", "estimate"),
    "Runs": ("run", "resume", "runs", "report"),
    "Trained networks": ("evaluate", "predict", "export"),
}  # what is in none of them comes last


def _trust(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """For as long as the command runs, its processes included."""
    if value:
        before = os.environ.get(TRUST)
        os.environ[TRUST] = "1"
        ctx.call_on_close(lambda: os.environ.pop(TRUST) if before is None else os.environ.update({TRUST: before}))


class Program(click.Group):
    """The command group."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """One more command; whatever takes a spec, a run or a network may be told to trust it."""
        whose = next((TRUSTED[param.name] for param in cmd.params if param.name in TRUSTED), None)
        if whose is not None:
            help = f"Run the Python file that {whose} names."
            cmd.params.append(click.Option(["--trust-code"], is_flag=True, expose_value=False, is_eager=True,
                                           callback=_trust, help=help))  # fmt: skip
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by what they are about, each with the first sentence of its help."""
        rest = [name for name in self.list_commands(ctx) if not any(name in names for names in GROUPS.values())]
        for title, names in {**GROUPS, "This machine": rest}.items():
            found = [(name, self.commands[name]) for name in names if name in self.commands]
            with formatter.section(title):
                formatter.write_dl([(f"{name:10}", each.get_short_help_str(limit=200)) for name, each in found])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line."""
        streams.ensure()
        make_writable()
        if COMPLETING in os.environ:  # a shell asks
            from ..completion import prepare

            prepare(self)
        try:
            return super().main(*args, **kwargs)
        finally:
            for stream in (sys.stdout, sys.stderr):  # or the interpreter would complain at its end
                if streams.stuck(stream):
                    streams.mute(stream)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the group's own options."""
        with in_words(), _printable_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with in_words(), _ended_by_signals(), _printable_errors(), waits_shown():
            result = super().invoke(ctx)
            streams.results().flush()
            return result


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(_for_stderr(error), error.ctx) from error
    except click.ClickException as error:
        raise click.ClickException(_for_stderr(error)) from error


def _for_stderr(error: click.ClickException) -> str:
    return written(clean(error.format_message()), sys.stderr.encoding or "ascii")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let what asks the process to end do what Ctrl-C does, where nobody wants something else of it."""
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    try:
        for number in (taken := [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]):
            signal.signal(number, signal.default_int_handler)
    except ValueError:  # not in the main thread, where Python hears no signals
        taken = []
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def in_words() -> Iterator[None]:
    """End the command with a line in place of a traceback, where the machine is the cause and no mistake of ours."""
    try:
        yield
    except KeyboardInterrupt:
        code, said = INTERRUPTED, ["error: interrupted"]
    except streams.NotTaken as error:
        code, said = FAILED, _not_taken(error)
    except Exception as error:
        found = _cause(error)
        if found is None:
            raise
        code, said = FAILED, found
    else:
        return
    place = ranks.placed()
    if place is not None and place.reports is not None:  # who has started this process says how all have ended
        message, *help = (line.removeprefix("error: ").removeprefix("  = help: ") for line in said or ("ended",))
        ranks.report(place, ranks.Report(place.rank, code, message, tuple(help)))
    elif said:
        echo("\n".join(said), err=True)
    sys.exit(code)


def _cause(error: Exception) -> list[str] | None:
    """What to say."""
    if _no_memory(error):
        return ["error: out of memory", "  = help: free some, or raise the limit that this process has (`ulimit -v`)"]
    if isinstance(error, ModuleNotFoundError) and error.name in NEEDED_TO_RUN:
        said = f"`{error.name}` is not installed, and a spec is only checked and planned without it"
        return [f"error: {said}", "  = help: pip install specc, with all that it depends on"]
    if not isinstance(error, OSError):
        return None
    if reason := streams.stuck(sys.stdout):  # click writes its help itself
        streams.mute(sys.stdout)
        return _not_taken(streams.NotTaken(reason))
    return [f"error: {_without_folder() or described(error)}"]


def _not_taken(error: streams.NotTaken) -> list[str]:
    """Nothing is left to be said to a reader that has gone."""
    return [] if error.reason.errno == errno.EPIPE else [f"error: {error}"]


def _no_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, or did before: a library may say of it that a value cannot be written."""
    if error is None:
        return False
    if isinstance(error, OSError):
        none = error.errno == errno.ENOMEM
    else:
        none = isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY)
    return none or _no_memory(error.__cause__) or _no_memory(error.__context__)


def _without_folder() -> str | None:
    """Whether there is no folder to look for files in."""
    try:
        os.getcwd()
    except OSError:
        return "the current folder is no longer there\n  = help: change to one that is"
    return None


def described(error: OSError) -> str:
    """What an error of the system says, and of which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
