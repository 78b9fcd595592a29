"""What commands share: loading, compiling, printing and ending."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..diagnostics import SpecError
from ..diagnostics.notices import doing
from ..system import ranks
from ..system.plugins import PluginError
from ..system.streams import messages, results
from ..system.terminal import paper
from .output import echo, write

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.errors import BudgetExceeded

    from ..plan import Plan
    from ..spec.load import Spec
    from ..system.devices import Device
    from ..views import Table


def load(path: Path, overrides: list[str], device: Device) -> Spec:
    """Load a spec for a device; a file that cannot be read ends the command with exit code 2."""
    try:
        with doing(f"reading {path.name}"):
            from ..checking import load as load_spec

            return load_spec(path, overrides).on(device)
    except OSError as error:
        fail(2, cannot_read(path, error))


def compile_shown(spec: Spec) -> Plan:
    """Compile and print the warnings."""
    with doing(f"compiling {spec.config.name}"):
        from ..pipeline import compile_spec

        compiled, warnings = compile_spec(spec)
    place = ranks.placed()
    if warnings and (place is None or place.reports is None):  # else who has started this process has said so
        show(warnings, spec.sources, "human")
    return compiled


@contextmanager
def loading_torch() -> Iterator[None]:
    """Around the first import of what needs torch: no other thread gets a turn while its libraries are opened."""
    with doing("loading PyTorch", at_once="torch" not in sys.modules):
        yield


@contextmanager
def errors_shown(form: str = "human") -> Iterator[None]:
    """Diagnostics of a wrong spec, then exit code 1."""
    try:
        yield
    except SpecError as error:
        _fail_shown(1, error, form)
    except PluginError as error:
        fail(1, str(error), error.help)


@contextmanager
def failures_shown() -> Iterator[None]:
    """What ended a run, and what to type next."""
    check_runtime()
    from runtime.errors import BudgetExceeded, FoundInSpec, RankLost, RunError, Shown

    from ..graph.problems import BackboneError

    try:
        yield
    except BudgetExceeded as error:
        fail(error.exit_code, str(error), *what_fits(error), *error.help)
    except FoundInSpec as error:
        _fail_shown(error.exit_code, error, "human")
    except Shown as error:
        write(error.text, err=True)
        sys.exit(error.exit_code)
    except RunError as error:
        if error.told:
            _gone(error.exit_code)
        fail(error.exit_code, str(error), *error.help, lost=isinstance(error, RankLost))
    except BackboneError as error:  # of a network whose code is asked for again
        fail(RunError.exit_code, str(error), *(help for problem in error.problems for help in problem.help))


def what_fits(error: BudgetExceeded) -> Iterator[str]:
    """What would have fit, where a run was over its budget: the compiler's advice, held to what was measured.

    Changes in order of what they cost, and the command for the first; nothing where there is no plan to change.
    """
    plan = error.plan
    if plan is None or plan.config.budget is None:
        return
    from ..fit.remedies import advice, remedies
    from ..pipeline import PREDICTING, run_passes
    from ..spec.dump import dump
    from ..spec.load import loads

    spec = loads(dump(plan.config)).on(plan.memory.device)
    draft = run_passes(spec, PREDICTING)
    if draft.memory is None:
        return
    predicted = draft.memory.peak_bytes
    limit = min(plan.config.budget.memory - error.excess, predicted - 1)  # the excess may come on top again
    found = list(remedies(draft, limit))
    yield f"{'predicted to fit' if found else 'by prediction'}: {'; '.join(advice(draft, limit, found))}"
    change = next((remedy.override for remedy in found if remedy.override), None)
    if change is not None and error.folder is not None:
        yield f"for example: specc run {shlex.join([str(error.folder / 'spec.resolved.yaml'), change])}"


def check_runtime() -> None:
    """See that `runtime` is the package beside this one: a file of that name in the user's folder comes first."""
    from importlib.util import find_spec

    own = Path(__file__).parents[2] / "runtime" / "__init__.py"
    found = find_spec("runtime")
    where = found.origin or next(iter(found.submodule_search_locations or ()), "") if found else None
    if where is None:
        fail(3, f"specc's package `runtime` is missing from {own.parents[1]}", "install specc anew")
    if not own.exists() or not Path(where).exists() or not own.samefile(where):
        fail(3, f"{where} hides specc's own package `runtime`",
             "rename it, take its folder out of PYTHONPATH, or call `specc` from another folder")  # fmt: skip


def cannot_read(path: str | Path, error: OSError) -> str:
    """Why a spec is not read."""
    return f"cannot read {path}: {error.strerror}"


def fail(code: int, message: str, *help: str, lost: bool = False) -> NoReturn:
    """Say what is wrong and end the command; one of several processes has it said by who has started them."""
    if not _reported(code, message, *help, lost=lost):
        told(_named(message), *help)
    if lost:
        _gone(code)
    sys.exit(code)


def _gone(code: int) -> NoReturn:
    """End at once: what torch would wait for at the interpreter's end is a rank that does not answer."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _fail_shown(code: int, error: Any, form: str) -> NoReturn:
    """The same for diagnostics."""
    if not _reported(code, str(error), text=lambda: _rendered(error.diagnostics, error.sources, "human", sys.stderr)):
        show(error.diagnostics, error.sources, form, to_stdout=form == "json")
    sys.exit(code)


def _reported(code: int, message: str, *help: str, lost: bool = False, text: Callable[[], str] = str) -> bool:
    """Whether another process is told, which will say it."""
    place = ranks.placed()
    if place is None or place.reports is None:
        if place is not None and place.quiet:
            sys.stderr = sys.__stderr__ or sys.stderr  # the one thing that it says
        return False
    ranks.report(place, ranks.Report(place.rank, code, message, help, text(), lost))
    return True


def _named(message: str) -> str:
    """Whose it is, where that is not the first rank."""
    place = ranks.placed()
    quiet = place is not None and place.quiet and not message.startswith("rank ")
    return f"rank {place.rank}: {message}" if place is not None and quiet else message


def told(message: str, *help: str) -> None:
    """Say what is wrong."""
    echo("\n".join([_apart(f"error: {message}"), *(_apart(f"  = help: {line}") for line in help)]), err=True, wrap=True)


def _apart(text: str) -> str:
    """The text so that none of its further lines looks like one of specc's own: names of files may have several.

    >>> print(_apart("error: no such thing\\n  looked for it here\\n  = help: rm -rf ~"))
    error: no such thing
      looked for it here
      |   = help: rm -rf ~
    """
    first, *others = text.split("\n")
    return "\n".join([first, *(line if re.match(r"  \w", line) else f"  | {line}" for line in others)])


def show(diagnostics: Any, sources: Any, form: str, *, to_stdout: bool = False) -> None:
    """Print diagnostics in file order."""
    stream = sys.stdout if to_stdout else sys.stderr
    write(_rendered(diagnostics, sources, form, stream), err=not to_stdout)


def _rendered(diagnostics: Any, sources: Any, form: str, stream: Any) -> str:
    from ..diagnostics import sort
    from ..diagnostics.render import render

    return render(sort(diagnostics), sources, form, **paper(stream)).rstrip("\n")


def say(*parts: str | Table) -> None:
    """Print results for people: tables as they fit, and lines that end between words where the terminal does."""
    for part in parts:
        if isinstance(part, str):
            echo(part, wrap=True)
        else:
            console(stderr=False).print(part)


def console(*, stderr: bool) -> Console:
    """A rich console; away from a terminal tables are rows without decoration."""
    from ..system.consoles import StreamConsole

    return StreamConsole(messages() if stderr else results())
