"""What else could have been trained: the same network end to end, and with other knobs, as the compiler predicts it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..compiler.draft import Draft
from ..compiler.variants import predict, predicted_peak, whole
from ..diagnostics import SpecError
from ..fit.remedies import MOST_TRIED, Remedy, remedies
from ..pipeline import PREDICTING, run_passes
from ..plan import Plan
from ..runs.names import RESOLVED
from ..spec.dump import dump
from ..spec.knobs import KNOBS, written
from ..spec.load import loads, parse_spec
from ..spec.models import SpecModel
from ..spec.sections.split import Split
from ..system.plugins import PluginError

WITH_STATISTICS = {"batch_norm"}  # ops whose output depends on which images are together
END_TO_END = "split={blocks: 1}"


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way to train the network."""

    name: str
    peak: int
    flops: int  # of a step, an image
    numbers: str  # what it changes in what is computed
    config: SpecModel


class Lab:
    """Compiles what might have been, from the plan of a run alone."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @cached_property
    def draft(self) -> Draft | None:
        """The run's own spec, compiled again; None where this machine no longer can."""
        try:
            spec = loads(dump(self.plan.config)).on(self.plan.memory.device)
            draft = run_passes(spec, PREDICTING)
        except (SpecError, PluginError, ValueError):
            return None
        return None if draft.failed or draft.memory is None else draft

    @property
    def small(self) -> bool:
        """Whether changes can be tried at once; those of a very large network take long."""
        return sum(len(network.graph.nodes) for network in self.plan.networks.values()) <= MOST_TRIED

    @property
    def yardstick(self) -> int:
        """What a step may take: the budget, or what the run takes where there is none."""
        budget = self.plan.config.budget
        return budget.memory if budget else self.plan.memory.peak_bytes

    @cached_property
    def end_to_end(self) -> list[Alternative]:
        """End-to-end training: as it is, in as few slices as fit, with recomputation, and with both if it takes that.

        Nothing where the run is end-to-end training itself, or where its spec can no longer be compiled.
        """
        if len(self.plan.blocks) == 1 or self.draft is None:
            return []
        config = whole(self.plan.config).changed("train", micro_batches=1, recompute=False)
        plain = self._alternative("end to end", config)
        if plain is None:
            return []
        sliced, again = self._sliced(config), self._recomputed(config)
        found = [plain, *(each for each in (sliced, again) if each)]
        if not any(each.peak <= self.yardstick for each in found):
            both = self._sliced(config.changed("train", recompute=True), " and recomputation")
            found += [both] if both else []
        return found

    def _sliced(self, config: SpecModel, more: str = "") -> Alternative | None:
        """In as few micro-batches as fit into the yardstick, or else in as many as the knob knows."""
        turned, found = KNOBS["micro_batches"].turned(config), None
        while turned is not None:
            count = turned.train.micro_batches
            found = self._alternative(f"end to end, {count} micro-batches{more}", turned) or found
            if found is not None and found.peak <= self.yardstick:
                return found
            turned = KNOBS["micro_batches"].turned(turned)
        return found

    def _recomputed(self, config: SpecModel) -> Alternative | None:
        turned = KNOBS["recompute"].turned(config)
        return None if turned is None else self._alternative("end to end, recomputation", turned)

    def _alternative(self, name: str, config: SpecModel) -> Alternative | None:
        assert self.draft is not None
        found = predict(self.draft, config)
        if found is None:
            return None
        size = config.data.batch_size // config.train.micro_batches
        return Alternative(name, found.peak, found.flops, self._numbers(config, size), config)

    def _numbers(self, config: SpecModel, size: int) -> str:
        """What it does to the numbers, beside those of local learning."""
        if config.train.micro_batches == 1:
            return "nothing" if config.train.recompute else "–"
        ops = {node.op.name for block in self.plan.blocks for node in self.plan.networks[block.name].graph.nodes}
        if ops & WITH_STATISTICS:
            return f"batch norm sees {size} images at a time, not {config.data.batch_size}"
        return "only how sums are rounded"

    def command(self, folder: Path, found: Alternative) -> str | None:
        """What trains it; None where a command line cannot say it."""
        given = list(_overrides(self.plan.config, found.config))
        reading = parse_spec(dump(self.plan.config), "spec", given)
        said = None if reading.spec is None else self.peak(reading.spec.config)
        return None if said != found.peak else f"specc run {shlex.join([str(folder / RESOLVED), *given])}"

    # -------------------------------------------------------------------------------- the run's own training, changed

    def remedies(self, budget: int) -> list[Remedy]:
        """Changes that fit a budget, cheapest first."""
        return list(remedies(self.draft, budget)) if self.draft is not None and self.small else []

    def peak(self, config: SpecModel) -> int | None:
        """What another configuration takes; None where it has errors."""
        return predicted_peak(self.draft, config) if self.draft is not None else None

    @cached_property
    def cuts(self) -> list[str]:
        """The layers after which the network is cut."""
        return [block.layers[-1] for block in self.plan.blocks[:-1]]

    def without_cut(self, index: int) -> tuple[str, int] | None:
        """Two neighbouring blocks as one, as an override, and its peak; None where that is no valid spec."""
        after = [cut for place, cut in enumerate(self.cuts) if place != index]
        split = Split(after=after) if after else Split(blocks=1)
        peak = self.peak(self.plan.config.model_copy(update={"split": split}))
        return None if peak is None else (f"split={{after: [{', '.join(after)}]}}" if after else END_TO_END, peak)

    def fewest_blocks(self, budget: int) -> tuple[int, str, int] | None:
        """The fewest blocks, but more than one, whose best split fits: how many, the override, and the peak."""
        for blocks in range(2, len(self.plan.blocks)):
            config = self.plan.config.model_copy(update={"split": Split(blocks=blocks, by="memory")})
            peak = self.peak(config)
            if peak is not None and peak <= budget:
                return blocks, f"split={{blocks: {blocks}, by: memory}}", peak
        return None

    def larger_batch(self, budget: int) -> tuple[int, int] | None:
        """Two, four or eight times the batch, the largest that fits, with its peak."""
        found, size = None, self.plan.config.data.batch_size
        for larger in (2 * size, 4 * size, 8 * size):
            peak = self.peak(self.plan.config.changed("data", batch_size=larger))
            if peak is None or peak > budget or larger > (self.plan.data.train_size or larger):
                break
            found = larger, peak
        return found


def _overrides(before: SpecModel, after: SpecModel) -> Iterator[str]:
    """What makes end-to-end training of a resolved spec: heads of local units are gone with the units."""
    yield END_TO_END
    heads = set(before.auxiliary.model_dump(exclude_none=True)) - set(after.auxiliary.model_dump(exclude_none=True))
    yield from (f"auxiliary.{name}=null" for name in sorted(heads))
    if before.levels != after.levels:
        yield "levels=[{name: independent}]"
    if before.ema_links:
        yield "ema_links=[]"
    for key in ("micro_batches", "recompute"):
        if (value := getattr(after.train, key)) != getattr(before.train, key):
            yield f"train.{key}={written(value)}"
