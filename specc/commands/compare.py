"""The command that holds specs against each other: as they are predicted, as a step is measured, or as they train."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..diagnostics.notices import counted, doing
from .devices import device_profile, is_given, predicted_for
from .options import FILE, FOLDER, Value, device_options, main, one_device
from .output import echo
from .shared import check_runtime, compile_shown, errors_shown, fail, failures_shown, load, loading_torch, show
from .tables import echo_table, table_format

if TYPE_CHECKING:
    from ..comparing.jobs import Job, Standing
    from ..comparing.results import Row
    from ..plan import Plan
    from ..profiles import Profile
    from ..spec.load import Spec
    from ..system.devices import Device


class Seeds(Value):
    """Seeds, with commas between them."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Each once, in the order in which they are given."""
        words = [word.strip() for word in value.split(",")]
        if not all(word.isascii() and word.isdecimal() for word in words):
            self.fail(f"it takes whole numbers with commas between them, as in 0,1,2, not `{value}`", param, ctx)
        return tuple(dict.fromkeys(map(int, words)))


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line, as far as training goes; its words go on with it."""

    specs: tuple[Path, ...]
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    jobs: int
    root: Path
    retry: bool
    gpu: int | None
    device: str | None
    form: str

    @property
    def place(self) -> tuple[str, ...]:
        """Where to train, as `specc run` is told."""
        named = ("--gpu", str(self.gpu)) if self.gpu is not None else ()
        return ("--device", self.device) if self.device is not None else named

    def command(self, *more: str) -> str:
        """What does the same again."""
        words = ["specc", "compare", *map(str, self.specs), "--train"]
        words += ["--seeds", ",".join(map(str, self.seeds))] if self.seeds else []
        words += ["--jobs", str(self.jobs)] if self.jobs > 1 else []
        words += ["--run-root", str(self.root)] if self.root != ROOT else []
        words += [*self.place, *(word for each in self.overrides for word in ("--set", each))]
        return shlex.join([*words, *(["--format", self.form] if self.form != "human" else []), *more])


ROOT = Path("runs")
_WITH_TRAIN = ("seeds", "jobs", "run_root", "retry")


@main.command()
@click.argument("specs", nargs=-1, required=True, type=FILE, metavar="SPEC...")
@click.option("--run", "steps", type=click.IntRange(min=0), default=0, help="Also measure so many steps of each.")
@click.option("--train", is_flag=True, help="Train each of them, and compare what has come of it.")
@click.option("--seeds", type=Seeds(), help="Train each with these seeds, as in 0,1,2; by default with its own.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="So many runs at a time.")
@click.option("--run-root", type=FOLDER, default=ROOT, show_default=True, help="The folder of the runs.")
@click.option("--retry", is_flag=True, help="Go on with runs that have failed.")
@device_options
@device_profile
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="An override for every spec.")
@table_format
@click.pass_context
def compare(
    ctx: click.Context, specs: tuple[Path, ...], steps: int, train: bool, seeds: tuple[int, ...] | None, jobs: int,
    run_root: Path, retry: bool, gpu: int | None, device: str | None, profile: Profile | None,
    overrides: tuple[str, ...], form: str,
) -> None:  # fmt: skip
    """Show predicted (and with --run measured) peak, step time and FLOPs of several specs side by side.

    With --train each is trained at each seed in a process of its own, and the table has test accuracy, what every unit
    reaches by itself, peak, time and FLOPs. What is done is not done again: the same words go on after Ctrl-C, or after
    anything else that ended it.
    """
    one_device(gpu, device)
    kind = _kind(device, gpu)
    asked = Asked(specs, seeds or (), overrides, jobs, run_root, retry, gpu, device, form)
    if not train:
        if given := [name for name in _WITH_TRAIN if _is_given(ctx, name)]:
            raise click.UsageError(f"--{given[0].replace('_', '-')} goes with --train")
        _predicted(asked, steps, *predicted_for(kind, profile, said=is_given("gpu", "device")))
        return
    if profile is not None:
        raise click.UsageError("--device-profile is for what is predicted: --train measures")
    if steps:
        raise click.UsageError("--run measures steps without training: give either --run or --train")
    _trained(asked, kind)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _kind(device: str | None, gpu: int | None) -> Device:
    from ..system.devices import kind_of_device

    kind = kind_of_device(device, gpu)
    if kind is None:
        raise click.UsageError(f"`{device}` is not a device: they are `cpu`, `cuda`, `cuda:1`, ...")
    return kind


# ---------------------------------------------------------------------------------------------- predicted


def _unlimited(loaded: Spec) -> Spec:
    """The spec without its budget, unless that decides about the split."""
    keep = loaded.config.split.fit is not None
    return loaded if keep else loaded.with_config(loaded.config.model_copy(update={"budget": None}))


def _predicted(asked: Asked, steps: int, kind: Device, profile: Profile | None) -> None:
    """The table of predictions, and of measured steps."""
    loaded, plans = _compiled(asked, kind, limited=False)
    _tell_unlike(loaded)
    measured: list[Any] = [None] * len(plans)
    if steps:
        plans, measured = _measured(plans, asked, steps, kind)
    from ..views.budget import compare_document, compare_table
    from ..views.step_time import timed

    times = [timed(plan, profile) for plan in plans]
    document = compare_document(plans, measured, times)
    echo_table(asked.form, compare_table(plans, measured, times), document, document["rows"])


def _compiled(asked: Asked, kind: Device, *, limited: bool) -> tuple[list[Spec], list[Plan]]:
    """All specs, or what is wrong with them."""
    loaded: list[Spec] = []
    plans: list[Plan] = []
    with errors_shown(asked.form):
        loaded = [load(path, list(asked.overrides), kind) for path in asked.specs]
        plans = [compile_shown(each if limited else _unlimited(each)) for each in loaded]
    return loaded, plans


def _tell_unlike(loaded: Sequence[Spec], *, trained: bool = False, seeded: bool = False) -> None:
    from ..comparing.fairness import unlike

    if found := unlike(loaded, trained=trained, seeded=seeded):
        show(found, {name: text for each in loaded for name, text in each.sources.items()}, "human")


def _measured(plans: list[Plan], asked: Asked, steps: int, kind: Device) -> tuple[list[Plan], list[Any]]:
    with failures_shown():
        with loading_torch():
            from runtime.engine import device as devices
            from runtime.memory.measure import measure

        from ..memory.prediction import predicted_for
        from ..system.devices import kind_of_device

        chosen = devices.choose(asked.device, asked.gpu)
        plans = [predicted_for(plan, kind_of_device(str(chosen)) or kind) for plan in plans]
        with doing("measuring steps") as so_far:
            return plans, [measure(plan, chosen, steps) for plan in counted(plans, so_far, len(plans))]


# ---------------------------------------------------------------------------------------------- trained


def _trained(asked: Asked, kind: Device) -> None:
    """Train what is not done yet, and show the table."""
    loaded, plans = _compiled(asked, kind, limited=True)
    _tell_unlike(loaded, trained=True, seeded=bool(asked.seeds))
    from ..comparing.jobs import standing
    from ..views.comparison import comparison_document, comparison_lines, comparison_table

    jobs = _jobs(asked, plans)
    every = dict.fromkeys(job for each in jobs for job in each)
    with doing("reading runs") as so_far:
        there = {job: standing(job, _named_kind(asked, kind)) for job in counted(every, so_far, len(every))}
    after, whole = _train(asked, [there[job] for job in _by_seed(jobs)])
    if not whole:
        done = sum(each.status == "completed" for each in (there | after).values())
        said = f"interrupted; {done} of {len(there)} runs are complete, and the others can go on"
        fail(130, said, f"continue with: {asked.command(*(['--retry'] if asked.retry else []))}")
    rows = _rows(asked, plans, jobs, there | after)
    document = comparison_document(rows)
    echo_table(asked.form, comparison_table(rows), document, document["rows"])
    for line in comparison_lines(rows):
        echo(line, err=asked.form != "human" or not sys.stdout.isatty())
    _end(asked, rows)


def _named_kind(asked: Asked, kind: Device) -> str | None:
    """The kind of device that somebody asks for; any will do where nobody does."""
    return kind if asked.place else None


def _jobs(asked: Asked, plans: Sequence[Plan]) -> list[list[Job]]:
    """Of every spec, in the order of the seeds."""
    from ..comparing.jobs import jobs_of

    pairs = zip(asked.specs, plans, strict=True)
    return [list(jobs_of(path, plan, asked.seeds, asked.overrides, asked.root)) for path, plan in pairs]


def _by_seed(jobs: Sequence[Sequence[Job]]) -> list[Job]:
    """All of them once, every spec at the first seed before the first at the second: the sooner they compare."""
    return list(dict.fromkeys(job for seed in zip(*jobs, strict=True) for job in seed))


def _train(asked: Asked, there: Sequence[Standing]) -> tuple[dict[Job, Standing], bool]:
    """Train what is to be trained; what has become of it, and whether nobody stopped it."""
    from ..comparing.crew import Surroundings, train
    from .training import Told

    todo = [each for each in there if _is_to_do(each, retry=asked.retry)]
    if not todo:
        return {}, True
    check_runtime()
    with doing("training"):
        done, whole = train(todo, Surroundings(asked.jobs, asked.place), Told(len(todo)))
    return {each.job: each for each in done}, whole


def _is_to_do(each: Standing, *, retry: bool) -> bool:
    status = each.status
    return status not in ("completed", "running") and (status != "failed" or retry)


def _rows(
    asked: Asked, plans: Sequence[Plan], jobs: Sequence[Sequence[Job]], found: Mapping[Job, Standing]
) -> list[Row]:
    from ..comparing.results import Row, labels

    names = labels(asked.specs, plans)
    parts = zip(names, asked.specs, plans, jobs, strict=True)
    return [Row(name, path, plan, tuple(found[job] for job in own)) for name, path, plan, own in parts]


def _end(asked: Asked, rows: Sequence[Row]) -> None:
    """Exit code 3 where a run has no figures, with what to type."""
    lacking = [each for row in rows for each in row.standings if each.status != "completed"]
    if not lacking:
        return
    what = f"{len(lacking)} of {sum(len(row.standings) for row in rows)} runs have no results"
    retry = ["--retry"] if any(each.status == "failed" for each in lacking) else []
    when = "as soon as the cause is gone" if retry or any(each.cause for each in lacking) else "later"
    fail(3, what, f"{when}: {asked.command(*retry)}")
