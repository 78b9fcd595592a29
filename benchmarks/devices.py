"""`specc.estimate` against GPU measurements that others published, for models of timm.

    python -m benchmarks.devices [--tables DIR] [--models N] [--json FILE]

No GPU is needed: models are traced and planned, nothing is trained. The tables are those of `benchmarks.gpu_tables`,
which compares the models that torchvision has too. Here any model of timm is taken as a user's own would be, N of them
by a hash of their names. Nothing is fitted: the constants are those of specc/device/model.json, which were fitted to
the rows of models that torchvision has: these are one group, and all others, which nobody fitted anything to, another.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runtime  # noqa: F401  networks are traced in this process
import specc
from specc.diagnostics.values import SpecError
from specc.estimating import Estimate

from .gpu_tables.__main__ import TABLES
from .gpu_tables.batches import LADDER
from .gpu_tables.memory import MIB, measured
from .gpu_tables.tables import A100, RTX_3090, Taken, Trained, quantile, rows_of
from .gpu_tables.twins import twin

MODELS = 119
FITS = ("fits", "barely fits")
OF_A100 = {"optimizer": "sgd", "precision": "fp32"}  # which the table does not say: the likely one
OF_RTX_3090 = {
    "optimizer": "sgd", "precision": "fp16", "device_profile": "rtx3090",
    "overrides": ("train.memory_format=channels_last",),
}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """A row of the A100's table with its estimate, MiB."""

    row: Taken
    tensors: float
    device: float
    inside: bool  # what was measured lies within the spread that is shown

    @property
    def ratio(self) -> float:
        """Of what a process is estimated to take to what it took."""
        return self.device / self.row.device


@dataclass(frozen=True)
class Held:
    """A row of the RTX 3090's table: whether the batch that fitted fits, and the next one, that did not, does not."""

    row: Trained
    fits: bool
    next_does_not: bool | None  # where the ladder goes no further


def chosen(names: Iterable[str], count: int) -> set[str]:
    """Some of them, by a hash: whoever adds a model changes nothing for the others."""
    return set(sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name))[:count])


def estimated(model: str, size: int, batch: int, **settings: Any) -> Estimate:
    """The estimate of one training."""
    return specc.estimate(f"timm:{model}", (3, size, size), batch=batch, classes=1000, **settings)


def tried(rows: Sequence[Any], compare: Callable[[Any], Any], refused: dict[str, str]) -> Iterator[Any]:
    """What is found of every row whose model can be traced; why the others cannot."""
    for row in rows:
        if row.model not in refused:
            try:
                yield compare(row)
            except SpecError as error:
                refused[row.model] = error.diagnostics[0].message
            except Exception as error:  # a mistake in tracing takes one model out, and is counted
                refused[row.model] = f"{type(error).__name__}: {error}"


def taken(row: Taken) -> Compared:
    """A row of the A100's table."""
    found = estimated(row.model, row.size, row.batch, **OF_A100)
    device = found.device_bytes
    assert device is not None
    inside = device.low <= row.device * MIB <= device.high
    return Compared(row, found.peak_bytes / MIB, device.bytes / MIB, inside)


def held(row: Trained) -> Held:
    """A row of the RTX 3090's."""
    above = [batch for batch in LADDER if batch > row.batch]
    return Held(row, _fits(row, row.batch), not _fits(row, min(above)) if above else None)


def _fits(row: Trained, batch: int) -> bool:
    found = estimated(row.model, row.size, batch, **OF_RTX_3090)
    return found.answer is not None and found.answer.verdict in FITS


def of_memory(found: Sequence[Compared]) -> dict[str, Any]:
    """The figures of merit."""
    ratios = [each.ratio for each in found]
    errors = [abs(ratio - 1) for ratio in ratios]
    worst = sorted(found, key=lambda each: -abs(each.ratio - 1))[:5]
    return {
        "models": len({each.row.model for each in found}), "rows": len(found),
        "median_ratio": quantile(ratios, 0.5), "tenth_percentile": quantile(ratios, 0.1),
        "ninetieth_percentile": quantile(ratios, 0.9), "median_error": quantile(errors, 0.5),
        "ninetieth_percentile_of_errors": quantile(errors, 0.9),
        "inside_the_spread": sum(each.inside for each in found) / len(found),
        "median_ratio_of_tensors": quantile([each.tensors / each.row.device for each in found], 0.5),
        "ninetieth_percentile_of_tensors": quantile([each.tensors / each.row.device for each in found], 0.9),
        "tensors_above": sum(each.tensors > each.row.device for each in found),
        "worst_rows": [f"{each.row.model} at {each.row.batch}: {each.ratio:.2f}" for each in worst],
    }  # fmt: skip


def of_batches(found: Sequence[Held]) -> dict[str, Any]:
    """How much of what the table says is right."""
    nexts = [each for each in found if each.next_does_not is not None]
    both = [each.fits and each.next_does_not is not False for each in found]
    return {
        "models": len({each.row.model for each in found}), "rows": len(found), "rows_with_a_next": len(nexts),
        "largest_fits": sum(each.fits for each in found) / len(found),
        "next_does_not": sum(bool(each.next_does_not) for each in nexts) / len(nexts),
        "both": sum(both) / len(found),
        "wrong": [_said(each) for each, right in zip(found, both, strict=True) if not right],
    }  # fmt: skip


def _said(each: Held) -> str:
    return f"{each.row.model}: {each.row.batch} {'too large' if not each.fits else 'and the next fit'}"


def in_groups(found: Sequence[Any], summary: Callable[[Sequence[Any]], dict[str, Any]]) -> dict[str, Any]:
    """All models, those that the constants were fitted on, and all others."""
    seen = [each for each in found if twin(each.row.model)]
    groups = {"all": found, "fitted_on": seen, "others": [each for each in found if not twin(each.row.model)]}
    return {name: summary(group) for name, group in groups.items() if group}


def compared(folder: Path, models: int) -> dict[str, Any]:
    """Both tables, of the models that are taken."""
    import timm  # slow to import, and a test of what is computed here needs none of it

    known = set(timm.list_models())
    first = [row for row in rows_of(folder / A100) if row["model"] in known]
    second = [row for row in rows_of(folder / RTX_3090) if row["model"] in known]
    some = chosen([row["model"] for row in (*first, *second)], models)
    sizes = {name: timm.get_pretrained_cfg(name).input_size[1] for name in some}
    of_a100 = measured([_taken(row, sizes[row["model"]]) for row in first if row["model"] in some])
    of_rtx = [_trained(row) for row in second if row["model"] in some]
    refused: dict[str, str] = {}
    begun = time.monotonic()
    device = list(tried(of_a100, taken, refused))
    batches = list(tried(of_rtx, held, refused))
    return {
        "format_version": 1, "models": len(some), "of": len({row["model"] for row in (*first, *second)}),
        "refused": refused, "a100": in_groups(device, of_memory), "rtx3090": in_groups(batches, of_batches),
        "seconds": round(time.monotonic() - begun),
    }  # fmt: skip


def _taken(row: dict[str, str], size: int) -> Taken:
    return Taken(row["model"], row["model"], size, int(row["batch_size"]), int(row["device_mib"]))


def _trained(row: dict[str, str]) -> Trained:
    size, batch, rate = int(row["image_size"]), int(row["largest_batch_size"]), float(row["images_per_second"])
    return Trained(row["model"], row["model"], size, batch, rate)


GROUPS = {"others": "that nobody fitted anything to", "fitted_on": "that the constants were fitted to", "all": "all"}


def page(results: dict[str, Any]) -> Iterator[str]:
    """The tables of docs/memory.md."""
    yield "| A100, 40 GB: models | models | rows | median ratio | 10th, 90th percentile | median error | 90th |"
    yield "|---|---|---|---|---|---|---|"
    for group, what in GROUPS.items():
        if (each := results["a100"].get(group)) is not None:
            spread = f"{each['tenth_percentile']:.2f}, {each['ninetieth_percentile']:.2f}"
            errors = f"{each['median_error']:.1%} | {each['ninetieth_percentile_of_errors']:.1%}"
            yield f"| {what} | {each['models']} | {each['rows']} | {each['median_ratio']:.2f} | {spread} | {errors} |"
    yield ""
    yield "| RTX 3090, 24 GB: models | models | the largest batch fits | the next one does not | both |"
    yield "|---|---|---|---|---|"
    for group, what in GROUPS.items():
        if (each := results["rtx3090"].get(group)) is not None:
            right = " | ".join(f"{each[name]:.0%}" for name in ("largest_fits", "next_does_not", "both"))
            yield f"| {what} | {each['models']} | {right} |"


def shown(results: dict[str, Any]) -> Iterator[str]:
    """The figures for people."""
    yield f"{results['models']} of {results['of']} models, {len(results['refused'])} refused, {results['seconds']} s"
    for table in ("a100", "rtx3090"):
        for group, figures in results[table].items():
            yield f"{table}, {group.replace('_', ' ')}:"
            yield from (f"  {name.replace('_', ' ')}: {_figure(value)}" for name, value in figures.items())


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "; ".join(value) if isinstance(value, list) else str(value)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=TABLES, metavar="DIR", help="the folder of the two tables")
    parser.add_argument("--models", type=int, default=MODELS, metavar="N", help="how many models, by a hash")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON as well")
    arguments = parser.parse_args(words)
    if not arguments.tables.is_dir():
        print(f"error: no tables in {arguments.tables}: name their folder with --tables", file=sys.stderr)
        return 1
    results = compared(arguments.tables, arguments.models)
    print("\n".join(shown(results)))
    if arguments.json:
        text = json.dumps(results, indent=1, allow_nan=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
