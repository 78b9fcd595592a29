"""What else could have been trained: the same network end to end, and with other knobs, as the compiler predicts it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ..compiler.draft import Draft
from ..compiler.variants import predicted_peak
from ..diagnostics import SpecError
from ..fit.attempts import Candidate
from ..fit.comparison import Comparison
from ..fit.remedies import MOST_TRIED, Remedy, remedies
from ..fit.rivals import Rival, Rivals, marked
from ..pipeline import PREDICTING, run_passes
from ..plan import Plan
from ..profiles import Profile, here
from ..runs.names import RESOLVED
from ..spec.dump import dump
from ..spec.knobs import every
from ..spec.load import loads, parse_spec
from ..spec.models import SpecModel
from ..spec.sections.split import Split
from ..system.plugins import PluginError

MOST_COMPARED = 500  # ops of the backbone: all exact training of a ResNet-110 takes some six seconds to compare
END_TO_END = "split={blocks: 1}"


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

    # ------------------------------------------------------------------------------------------------- exact training

    @cached_property
    def profile(self) -> Profile | None:
        """Of such a device as this machine has, where it was measured."""
        return here(self.plan.memory.device)

    @cached_property
    def rivals(self) -> Rivals | None:
        """Exact training of the same network, as `specc fit --rivals` compares it; of a very large one as it is.

        None where the spec can no longer be compiled.
        """
        if self.draft is None:
            return None
        comparison = Comparison(self.draft, self.profile)
        if self.compared or comparison.plain is None:
            return comparison.under(self.yardstick)
        rows = marked([comparison.rival(None, comparison.plain, self.yardstick)])
        return Rivals(self.yardstick, comparison.plain, rows, profile=self.profile)

    @property
    def ops(self) -> int:
        """How many the backbone has."""
        return sum(len(self.plan.networks[block.name].graph.nodes) for block in self.plan.blocks)

    @property
    def compared(self) -> bool:
        """Whether ways to make exact training smaller are looked for; of a very large network that takes long."""
        return self.ops <= MOST_COMPARED

    @cached_property
    def exact(self) -> list[Rival]:
        """Exact training, but for what the run itself did."""
        rows = self.rivals.rows if self.rivals else ()
        return [row for row in rows if not self._is_the_run(row.candidate.config)]

    def _is_the_run(self, config: SpecModel) -> bool:
        own = self.plan.config
        return self.whole and (own.train, own.data) == (config.train, config.data)

    @property
    def whole(self) -> bool:
        """Whether the run is end-to-end training itself."""
        return len(self.plan.blocks) == 1

    @property
    def best(self) -> Rival | None:
        """The fastest of the exact ones that fits: in the precision of the run, if there is one."""
        found = self.rivals and (self.rivals.chosen or self.rivals.quickest)
        return found if found in self.exact else None

    def command(self, folder: Path, found: Rival) -> str | None:
        """What trains it; None where a command line cannot say it."""
        given = list(_overrides(self.plan.config, found.candidate))
        reading = parse_spec(dump(self.plan.config), "spec", given)
        said = None if reading.spec is None else self.peak(reading.spec.config)
        if said != found.candidate.peak:
            return None
        return f"specc run {shlex.join([str(folder / RESOLVED), *given])}"

    def search(self, folder: Path) -> str:
        """What compares all ways, local ones too."""
        budget = () if self.plan.config.budget else ("--budget", str(self.yardstick))
        return f"specc fit {shlex.join([str(folder / RESOLVED), '--rivals', *budget])}"

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


def _overrides(before: SpecModel, found: Candidate) -> Iterator[str]:
    """What makes end-to-end training of a resolved spec: heads of local units are gone with the units.

    A budget that it does not keep would forbid it.
    """
    after = found.config
    yield END_TO_END
    heads = set(before.auxiliary.model_dump(exclude_none=True)) - set(after.auxiliary.model_dump(exclude_none=True))
    yield from (f"auxiliary.{name}=null" for name in sorted(heads))
    if before.levels != after.levels:
        yield "levels=[{name: independent}]"
    if before.ema_links:
        yield "ema_links=[]"
    settings = {knob.override(after): knob.override(before) for knob in every()}
    yield from (now for now, own in settings.items() if now != own)
    if before.budget and found.peak > before.budget.memory:
        yield "budget=null"
