"""`specc fit`: the table of blocks against peak and FLOPs, for every allowed combination of knobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..schema import show_bytes
from ..spec.models import Auxiliary, SpecModel, Split
from .budget import having, with_sequential_patches
from .draft import Draft
from .fit import Row, best_splits

Change = Callable[[SpecModel], "SpecModel | None"]

# Cheapest first: what costs nothing, then time, then precision, then the batch.
KNOBS: dict[str, tuple[str, Change]] = {
    "patches": ("patches.execution: sequential", with_sequential_patches),
    "recompute": ("train.recompute: true", lambda c: None if c.train.recompute else having(c, "train", recompute=True)),
    "precision": (
        "train.precision: bf16",
        lambda c: having(c, "train", precision="bf16") if c.train.precision == "fp32" else None,
    ),
    "batch_size": (
        "data.batch_size halved",
        lambda c: having(c, "data", batch_size=c.data.batch_size // 2) if c.data.batch_size > 1 else None,
    ),
}


@dataclass(frozen=True, slots=True)
class Option:
    """The best split into so many blocks under some knobs."""

    row: Row
    knobs: tuple[str, ...]
    config: SpecModel
    fits: bool
    pareto: bool = False  # no other option has both a lower peak and fewer FLOPs an image


@dataclass(frozen=True, slots=True)
class Result:
    """All options, and the one to take: the fewest blocks and the fewest knobs that fit."""

    options: tuple[Option, ...]
    chosen: Option | None
    considered: int  # legal cuts that were looked at
    legal: int
    budget: int

    @property
    def floor(self) -> Option:
        """The option with the lowest peak: what to say when nothing fits."""
        return min(self.options, key=lambda option: option.row.predicted_peak_bytes)


def search(draft: Draft, budget: int, allow: Sequence[str] = ("split",)) -> Result:
    """Try every combination of the allowed knobs (`split` and the names in `KNOBS`) with every number of blocks."""
    options: list[Option] = []
    considered = legal = 0
    for knobs, config in _settings(draft.spec.config, allow):
        table = best_splits(draft, with_all_heads(config))
        considered, legal = table.considered, table.legal
        rows = table.rows if "split" in allow else _current(table.rows, draft)
        options += [Option(row, knobs, config, row.predicted_peak_bytes <= budget) for row in rows]
    marked = tuple(_marked(options))
    fitting = [option for option in marked if option.fits]
    chosen = min(fitting, key=lambda o: (len(o.knobs), o.row.blocks), default=None)
    return Result(marked, chosen, considered, legal, budget)


def with_all_heads(config: SpecModel) -> SpecModel:
    """The configuration without weights by unit: their number changes with the blocks, their size does not matter."""
    return having(config, "train", zero_weight_heads="keep").model_copy(
        update={
            "auxiliary": _one_weight(config.auxiliary),
            "levels": [level.model_copy(update={"auxiliary": _one_weight(level.auxiliary)}) for level in config.levels],
        }
    )


def _one_weight(auxiliary: Auxiliary | None) -> Auxiliary | None:
    if auxiliary is None:
        return auxiliary
    listed = {name: head for name, head in auxiliary.heads().items() if isinstance(head.weight, list)}
    return auxiliary.model_copy(update={n: head.model_copy(update={"weight": 1.0}) for n, head in listed.items()})


def _settings(config: SpecModel, allow: Sequence[str]) -> Iterator[tuple[tuple[str, ...], SpecModel]]:
    names = [name for name in KNOBS if name in allow]
    for count in range(len(names) + 1):
        for chosen in combinations(names, count):
            changed: SpecModel | None = config
            for name in chosen:
                changed = KNOBS[name][1](changed) if changed is not None else None
            if changed is not None:
                yield tuple(KNOBS[name][0] for name in chosen), changed


def _current(rows: Sequence[Row], draft: Draft) -> list[Row]:
    """Without `split`: the number of blocks that the spec asks for."""
    return [row for row in rows if row.blocks == len(draft.blocks)]


def _marked(options: list[Option]) -> Iterator[Option]:
    """The options with the Pareto front marked, an image at a time."""
    best = float("inf")
    front: set[int] = set()
    rows = [option.row for option in options]
    for i in sorted(range(len(rows)), key=lambda i: (rows[i].relative_flops, rows[i].predicted_peak_bytes)):
        if options[i].row.predicted_peak_bytes < best:
            best = options[i].row.predicted_peak_bytes
            front.add(i)
    for i, option in enumerate(options):
        yield Option(option.row, option.knobs, option.config, option.fits, i in front)


def written(option: Option) -> SpecModel:
    """The spec's configuration with an option's cuts and knobs."""
    split = Split(after=list(option.row.after)) if option.row.after else Split(blocks=1)
    return option.config.model_copy(update={"split": split})


def shortfall(result: Result) -> str:
    """What to say when nothing fits."""
    floor = result.floor
    knobs = f" with {', '.join(floor.knobs)}" if floor.knobs else ""
    return (
        f"nothing fits into {show_bytes(result.budget)}: the floor is {show_bytes(floor.row.predicted_peak_bytes)}, "
        f"with {floor.row.blocks} blocks{knobs}"
    )
