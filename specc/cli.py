"""The command line. Every heavy import is inside the command that needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__
from .diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from .plan import Plan
    from .spec.load import Spec

Command = Callable[..., Any]
FORMATS = ("human", "concise", "json", "github", "sarif")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="specc")
def main() -> None:
    """Compile and run supervised local learning described in YAML."""


def spec_argument(command: Command) -> Command:
    """One spec file and any number of overrides."""
    command = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")(command)
    return click.argument("spec", type=click.Path(dir_okay=False, path_type=Path))(command)


@main.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC... [KEY=VALUE]...")
@click.option("--format", "form", type=click.Choice(FORMATS), default="human", help="How diagnostics are printed.")
def validate(specs: tuple[str, ...], form: str) -> None:
    """Check specs and report everything that is wrong with them."""
    files, overrides = [s for s in specs if not _is_override(s)], [s for s in specs if _is_override(s)]
    if not files:
        raise click.UsageError("no spec file given")
    found: list[Diagnostic] = []
    sources: dict[str, str] = {}
    for file in files:
        diagnostics, texts = _check(Path(file), overrides)
        found += diagnostics
        sources |= texts
        if form == "human" and not any(d.is_error for d in diagnostics):
            click.echo(f"{file}: ok")
    if found or form in ("json", "sarif"):
        show(found, sources, form, to_stdout=form != "human")
    sys.exit(any(d.is_error for d in found))


def _is_override(word: str) -> bool:
    """Whether a word of the command line is ``key.path=value`` and not a file."""
    return "=" in word and not Path(word).exists()


def _check(path: Path, overrides: list[str]) -> tuple[tuple[Diagnostic, ...], dict[str, str]]:
    from .check import check

    try:
        report = check(path, overrides)
    except OSError as error:
        fail(2, f"cannot read {path}: {error.strerror}")
    return report.diagnostics, dict(report.sources)


@main.command()
@spec_argument
@click.option("--format", "form", type=click.Choice(("human", "json")), default="human", help="Table or JSON document.")
def plan(spec: Path, overrides: tuple[str, ...], form: str) -> None:
    """Compile a spec and show its units, what they cost, and the predicted peak against the budget."""
    with errors_shown(form):
        compiled = compile_shown(load(spec, list(overrides)))
    from . import view

    if form == "json":
        click.echo(json.dumps(view.plan_document(compiled), indent=2))
        return
    console(stderr=False).print(view.plan_table(compiled))
    click.echo("\n".join(view.memory_lines(compiled)))


@main.command()
@spec_argument
@click.option("--gpu", type=click.IntRange(min=0), help="Number of the CUDA device.")
@click.option("--device", help="`cpu`, `cuda`, `cuda:1`; by default the first GPU, or else the CPU.")
@click.option("--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
def run(spec: Path, overrides: tuple[str, ...], gpu: int | None, device: str | None, run_dir: Path | None) -> None:
    """Compile a spec, train it, and hold the measured memory against the budget."""
    if gpu is not None and device is not None:
        raise click.UsageError("give either --gpu or --device")
    with errors_shown():
        loaded = load(spec, list(overrides))
        compiled = compile_shown(loaded)
    with failures_shown():
        from runtime import launch

        launch.run(compiled, loaded, device, gpu, run_dir)


@main.command()
@click.argument("run_dir", type=click.Path(file_okay=False, path_type=Path))
@click.option("--gpu", type=click.IntRange(min=0), help="Number of the CUDA device.")
@click.option("--device", help="`cpu`, `cuda`, `cuda:1`; by default the first GPU, or else the CPU.")
def resume(run_dir: Path, gpu: int | None, device: str | None) -> None:
    """Continue an interrupted run from its last checkpoint, with the plan it was started with."""
    if gpu is not None and device is not None:
        raise click.UsageError("give either --gpu or --device")
    with failures_shown():
        from runtime import launch

        launch.resume(run_dir, device, gpu)


@main.command()
@click.argument("run_dir", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "names",
    type=click.Choice(("torchvision", "canonical")),
    help="Names of the tensors; by default torchvision's where it has the model.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.safetensors or FILE.pt; by default backbone.safetensors in the run directory.",
)  # fmt: skip
def export(run_dir: Path, names: Any, output: Path | None) -> None:
    """Write the weights of a run's backbone alone, without the auxiliary networks."""
    with failures_shown():
        from runtime.export import export as write

        done = write(run_dir, names, output)
    click.echo(f"wrote {done.path}: {done.tensors} tensors under {done.names} names")


@main.command()
@click.option("--format", "form", type=click.Choice(("human", "json")), default="human", help="Lines or JSON document.")
def doctor(form: str) -> None:
    """Show what specc finds on this machine."""
    with failures_shown():
        from runtime import doctor as examine

        facts = examine.facts()
    if form == "json":
        click.echo(json.dumps({"format_version": 1, **facts}, indent=2))
    else:
        click.echo("\n".join(f"{name:12} {value}" for name, value in facts.items()))


@main.command()
def schema() -> None:
    """Print the JSON Schema of the language, for editors."""
    from .spec.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@main.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain a code such as SPC204; without one, list all of them."""
    from . import explain as pages
    from .codes import CODES

    if code is None:
        click.echo("\n".join(f"{name}  {known.title}" for name, known in CODES.items()))
        return
    found = pages.find(code)
    if found is None:
        near = "; ".join(f"{name}: {CODES[name].title}" for name in pages.nearest(code))
        fail(2, f"no code is called `{code}`", f"nearest: {near}", "`specc explain` lists all codes")
    click.echo(pages.page(found).rstrip())


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("spec.yaml"))
def init(file: Path) -> None:
    """Write a commented spec to start from, by default `spec.yaml`."""
    from importlib.resources import files

    text = files("specc").joinpath("templates/starter.yaml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        fail(2, f"{file} exists already", "give another name: `specc init OTHER.yaml`")
    except OSError as error:
        fail(2, f"cannot write {file}: {error.strerror}")
    click.echo(f"wrote {file}; next: specc validate {file}")


# ------------------------------------------------------------------------------------------------ shared by commands


def load(path: Path, overrides: list[str]) -> Spec:
    """Load a spec; a file that cannot be read ends the command with exit code 2."""
    from .check import load as load_spec

    try:
        return load_spec(path, overrides)
    except OSError as error:
        fail(2, f"cannot read {path}: {error.strerror}")


def compile_shown(spec: Spec) -> Plan:
    """Compile and print the warnings."""
    from .compiler import compile_spec

    compiled, warnings = compile_spec(spec)
    if warnings:
        show(warnings, spec.sources, "human")
    return compiled


@contextmanager
def errors_shown(form: str = "human") -> Iterator[None]:
    """Diagnostics of a wrong spec, then exit code 1."""
    try:
        yield
    except SpecError as error:
        show(error.diagnostics, error.sources, form, to_stdout=form == "json")
        sys.exit(1)


@contextmanager
def failures_shown() -> Iterator[None]:
    """What ended a run, and what to type next."""
    from runtime.errors import RunError

    try:
        yield
    except RunError as error:
        fail(error.exit_code, str(error), *error.help)


def fail(code: int, message: str, *help: str) -> NoReturn:
    """Say what is wrong and end the command."""
    click.echo("\n".join([f"error: {message}", *(f"  = help: {line}" for line in help)]), err=True)
    sys.exit(code)


def show(diagnostics: Any, sources: Any, form: str, *, to_stdout: bool = False) -> None:
    """Print diagnostics in file order."""
    from .diagnostics import sort
    from .render import render

    stream = sys.stdout if to_stdout else sys.stderr
    text = render(sort(diagnostics), sources, form, color=stream.isatty() and not os.environ.get("NO_COLOR"))
    click.echo(text.rstrip("\n"), err=not to_stdout)


def console(*, stderr: bool) -> Console:
    """A rich console; away from a terminal tables are as wide as they need to be."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=200)


from . import cli_budget  # noqa: E402, F401 - registers `fit` and `compare`
