"""Looks for what else fits a budget: exact training of the same network beside the best of each local method.

The same backbone, images, batch and optimizer throughout. Every row was compiled as the spec that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from ..compiler.draft import Draft
from ..compiler.partition import partition
from ..compiler.variants import attempted, recompiled, whole
from ..diagnostics.notices import doing, progress
from ..graph.ops import BatchNorm
from ..profiles import Profile
from ..spec.knobs import KNOBS, Change, every
from ..spec.models import SpecModel
from ..spec.sections.split import Fit, Split
from .attempts import Attempts, Candidate, cut
from .crossing import Known, Pair, Proposals, Range, wins
from .fastest import AGAIN, SPLIT, Fastest, released, turned, with_budget
from .methods import Method
from .rivals import WHOLE, LeftOut, Rival, Rivals, marked
from .roles import Roles

SLICES, PRECISION = "micro_batches", "precision"
EXACT: tuple[tuple[str, ...], ...] = ((), (SLICES,), (AGAIN,), (SLICES, AGAIN))
LOCAL = (SPLIT, "patches", AGAIN)  # what a local method may change: the same gradients, but for how sums are rounded
FEW = 12  # legal cuts, above which windows of several blocks are cut into equal parts: to search them takes long


class Comparison:
    """Looks for them, under one budget or several; what was compiled is kept."""

    def __init__(self, draft: Draft, profile: Profile | None = None) -> None:
        self.draft, self.attempts = draft, Attempts(draft, profile)
        self.base = released(draft.spec.config, every())
        self.end = whole(self.base)
        self._searches: dict[tuple[str, ...], Fastest] = {}

    @cached_property
    def plain(self) -> Candidate | None:
        """End-to-end training as it is."""
        return self.attempts(self.end)

    # ------------------------------------------------------------------------------------------------------ exact

    def exact(self, budget: int) -> list[Candidate]:
        """End-to-end training as it is, then each way to make it smaller, those that fit or come nearest to it."""
        found = [each for kind in EXACT if (each := self._whole(self.end, kind, budget))]
        low = KNOBS[PRECISION].turned(self.end)
        if low is not None:
            rounded = [each for kind in EXACT if (each := self._whole(low, kind, budget))]
            found += rounded if rounded[:1] and rounded[0].peak <= budget else [_best(rounded, budget)] * bool(rounded)
        plain = found[:1] if found and found[0].peak <= budget else []
        kept = found if not plain else [*plain, *(each for each in found[1:] if each.cost < plain[0].cost)]
        return _distinct(kept)

    def _whole(self, config: SpecModel, kind: tuple[str, ...], budget: int) -> Candidate | None:
        """The fastest of one kind that fits, or that with the lowest peak."""
        progress(f"end-to-end training with {' and '.join(kind)}" if kind else "end-to-end training")
        key = (config.train.precision, *kind)
        if key not in self._searches:
            self._searches[key] = Fastest(self.attempts, config, kind, Fit())
        found = self._searches[key].under(budget)
        return found or self.attempts(_furthest(with_budget(config, budget), kind))

    # ------------------------------------------------------------------------------------------------------ local

    def local(self, method: Method, budget: int) -> Candidate | None:
        """The fastest configuration of a method that fits, or comes nearest to it; None where it cannot stand."""
        progress(f"the fastest that fits of {method.name}")
        config = method.on(self.base)
        if _cuts_nothing(config):
            return None
        search = None if self._in_equal_parts(config) else self.search(method)
        if search is not None and (found := search.under(budget)):
            return found
        splits = self._equal(config) if search is None else _lowest(search)
        found, last = self._first(splits, budget)
        if last is not None and (found is None or found.peak > budget):
            sliced = [each for _, each in turned(last, [KNOBS[SLICES]])][1:]
            found = _better(found, self._first(sliced, budget)[0], budget)
        return found

    def _why_not(self, method: Method) -> str:
        """What is wrong with a method that cannot stand, first of all in as few blocks as it takes."""
        config = method.on(self.base)
        if _cuts_nothing(config):
            return "it cuts nothing, so that no split needs less memory than another"
        failed = (draft for each in self._equal(config) if (draft := attempted(self.draft, each)).failed)
        found = (each.message for draft in failed for each in draft.diagnostics if each.severity == "error")
        return next(found, "there are too few places where it may be cut")

    def _in_equal_parts(self, config: SpecModel) -> bool:
        return Roles(config).window > 1 and len(self.draft.graph.cut_choices) > FEW

    def _first(self, configs: Iterable[SpecModel], budget: int) -> tuple[Candidate | None, SpecModel | None]:
        """The fastest that fits up to the first that does so as it is, or the lowest; and the last one looked at."""
        best, last = None, None
        for last in configs:
            plain = self.attempts(last := with_budget(last, budget))
            if plain is not None and plain.peak <= budget:
                return _better(best, plain, budget), last
            for each in self.attempts.recomputed(last, budget):
                best = _better(best, each, budget)
        return best, last

    def search(self, method: Method) -> Fastest:
        """The search over a method's configurations of two blocks and more."""
        key = ("local", method.name)
        if key not in self._searches:
            self._searches[key] = Fastest(self.attempts, method.on(self.base), LOCAL, Fit(min_blocks=2))
        return self._searches[key]

    def _equal(self, config: SpecModel) -> Iterator[SpecModel]:
        """Blocks that keep equally much, of a few numbers."""
        for blocks in _spread(
            [n for n in range(2, len(self.draft.graph.cut_choices) + 2) if Roles(config).possible(n)]
        ):
            split = config.model_copy(update={"split": Split(blocks=blocks, by="memory")})
            found = partition(Draft(self.draft.spec.with_config(split), (), self.draft.data, self.draft.backbone))
            yield cut(config, tuple(block.layers[-1] for block in found.blocks[:-1]))

    # ------------------------------------------------------------------------------------------------------ together

    def under(self, budget: int, methods: Iterable[Method] = ()) -> Rivals | None:
        """All of them; None where the network cannot be trained end to end."""
        with doing("comparing with what else would fit"):
            if self.plain is None:
                return None
            rows = [self.rival(None, each, budget) for each in self.exact(budget)]
            standing, missing = [], list[LeftOut]()
            for method in methods:
                found = self.local(method, budget)
                if found is None:
                    missing.append(LeftOut(method.name, self._why_not(method)))
                else:
                    standing.append(method)
                    rows.append(self.rival(method, found, budget))
            result = Rivals(
                budget, self.plain, marked(rows), tuple(missing), profile=self.attempts.profile,
                equal_parts=tuple(each.name for each in standing if self._in_equal_parts(each.on(self.base))),
                all_or_nothing=tuple(dict.fromkeys(row.method for row in rows if self._all_or_nothing(row))),
            )  # fmt: skip
            return replace(result, wins=self._wins(result)) if any(row.local for row in rows) else result

    def _all_or_nothing(self, row: Rival) -> bool:
        """Whether there may be a better choice of layers to compute again than those that were looked at."""
        again = row.candidate.config.train.recompute
        return (again is True or (row.local and again is False)) and not self.attempts.chooses(row.candidate.config)

    def _wins(self, found: Rivals) -> Range | None:
        """The budgets under which local learning is the faster, in the precision of the spec."""
        progress("where local learning is the faster")
        exact = [pair for _, config in turned(self.end, [KNOBS[SLICES]]) if (pair := self._pair(config))]
        rows = [row for row in found.rows if row.local]
        proposals = [each for row in rows if (each := self._proposals(row.method)) is not None]
        best = min(rows, key=lambda row: (not row.fits, row.ratio))
        search = self._searches.get(("local", best.method))
        lowest = best.candidate.config if search is None else next(_lowest(search), best.candidate.config)
        smaller = [config for turns, config in turned(lowest, [KNOBS[SLICES]]) if turns in (2, 4)]
        configs = [*(row.candidate.config for row in rows), *smaller]
        local = [pair for config in configs if (pair := self._pair(config))]
        floor = min(pair.floor for pair in [*exact, *local])
        known = Known(found.budget, found.chosen is not None and found.chosen.local)
        return wins(exact, [*local, *proposals], floor, found.plain.peak, known)

    def _proposals(self, method: str) -> Proposals | None:
        """What the search for a method proposes, and how far from the truth that is."""
        search = self._searches.get(("local", method))
        if search is None:
            return None
        ways = search.ways(search.start)
        numbers = [*_spread([*search.numbers(ways)])]
        least = next((way for n in numbers if (way := ways.quickest(n))), None)
        return None if least is None else Proposals(ways, numbers, search.settings[0].bound / least.cost)

    def _pair(self, config: SpecModel) -> Pair | None:
        plain = self.attempts(config.changed("train", recompute=False))
        return None if plain is None else Pair(plain, self.attempts(config.changed("train", recompute=True)))

    def rival(self, method: Method | None, found: Candidate, budget: int) -> Rival:
        """A candidate as a row."""
        assert self.plain is not None
        own = self.end if method is None else released(method.on(self.base), every())
        knobs = [knob for knob in every() if knob.setting(found.config) != knob.setting(own)]
        settings = tuple(knob.setting(found.config) for knob in knobs)
        extra = found.found.flops / self.plain.found.flops - 1
        changes = tuple(self._changes(found.config, {knob.changes for knob in knobs}, local=method is not None))
        return Rival(
            method.name if method else WHOLE,
            found,
            found.peak <= budget,
            settings,
            changes,
            found.cost / self.plain.cost,
            extra,
        )

    def _changes(self, config: SpecModel, kinds: set[Change], *, local: bool) -> Iterator[str]:
        """What becomes of the numbers, in words."""
        if local:
            yield "local gradients"
        size = config.data.batch_size // config.train.micro_batches
        if Change.STATISTICS in kinds and not self._normalises(config):
            kinds = kinds - {Change.STATISTICS} | {Change.ROUNDING}
        if Change.STATISTICS in kinds:
            yield f"batch norm sees {size} {config.samples}"
        elif Change.ROUNDING in kinds:
            yield "how sums are rounded"
        if Change.PRECISION in kinds:
            yield f"activations in {config.train.precision}"
        if Change.BATCH in kinds:
            yield f"batches of {config.data.batch_size}"

    def _normalises(self, config: SpecModel) -> bool:
        """Whether anything in it looks at several images together."""
        draft = recompiled(self.draft, config)
        graphs = [] if draft is None else [graph for network in draft.networks.values() for graph in network.graphs]
        return any(isinstance(node.op, BatchNorm) for graph in graphs for node in graph.nodes)


def _cuts_nothing(config: SpecModel) -> bool:
    return any(level.window == "all" for level in config.levels)


def _furthest(config: SpecModel, kind: Iterable[str]) -> SpecModel:
    for name in kind:
        config = KNOBS[name].furthest(config)
    return config


def _best(found: Sequence[Candidate], budget: int) -> Candidate:
    """The fastest that fits, or that with the lowest peak."""
    fitting = [each for each in found if each.peak <= budget]
    return min(fitting, key=lambda each: each.cost) if fitting else min(found, key=lambda each: each.peak)


def _better(one: Candidate | None, other: Candidate | None, budget: int) -> Candidate | None:
    found = [each for each in (one, other) if each is not None]
    return _best(found, budget) if found else None


def _distinct(found: Iterable[Candidate]) -> list[Candidate]:
    """Each of them once."""
    return [*{each.config.model_dump_json(): each for each in found}.values()]


def _lowest(search: Fastest) -> Iterator[SpecModel]:
    """The split with the lowest peak, of a few numbers of blocks."""
    ways = search.ways(search.start)
    rows = [row for n in _spread([*search.numbers(ways)]) if (row := ways.lowest(n))]
    lowest = min(rows, key=lambda row: row.predicted_peak_bytes, default=None)
    yield from (cut(search.start, row.after) for row in rows if row is lowest)


def _spread(numbers: Sequence[int]) -> Iterator[int]:
    """Some of them, ever further apart."""
    last = 0
    for number in numbers:
        if number >= 1.3 * last:
            yield (last := number)
