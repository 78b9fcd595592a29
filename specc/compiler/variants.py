"""The same backbone on the same images under another configuration: what remedies and searches try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..graph.frozen import frozen
from ..plan import Plan
from ..plan.flops import step_flops
from ..profiles import Profile
from ..spec.dump import dump
from ..spec.load import loads
from ..spec.models import SpecModel
from ..spec.sections.levels import Level
from ..spec.sections.split import Split
from ..timing import step_time
from .checks.slices import check_slices
from .draft import Draft
from .partition import partition
from .schedule import schedule
from .units import form_units

FROM_SPLIT: tuple[Callable[[Draft], Draft], ...] = (partition, form_units, check_slices, schedule)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What becomes of a configuration: its predicted peak, FLOPs of a step, an image, and seconds of a step."""

    peak: int
    flops: int
    seconds: float | None = None  # None: no device is known


def attempted(draft: Draft, config: SpecModel) -> Draft:
    """The draft of another configuration, up to where it has errors."""
    result = Draft(draft.spec.with_config(config), (), draft.data, draft.backbone)
    for step in FROM_SPLIT:
        if not result.failed:
            result = step(result)
    return result


def recompiled(draft: Draft, config: SpecModel) -> Draft | None:
    """The draft of another configuration; None where that has errors."""
    result = attempted(draft, config)
    return None if result.failed else result


def predict(draft: Draft, config: SpecModel, profile: Profile | None = None) -> Prediction | None:
    """What another configuration takes, and how long on a device."""
    result = recompiled(draft, config)
    if result is None:
        return None
    seconds = step_time(result.plan, profile).seconds if profile else None
    return Prediction(result.predicted.peak_bytes, step_flops(result.plan), seconds)


def predicted_peak(draft: Draft, config: SpecModel) -> int | None:
    """The peak of another configuration."""
    found = predict(draft, config)
    return None if found is None else found.peak


def end_to_end(plan: Plan) -> Plan | None:
    """The plan of end-to-end training: the same backbone, images, batch and optimizer, and nothing of local learning.

    Made of what the plan says alone, so also of one that a run left behind. None where it is that
    already, or where this cannot be.
    """
    return None if len(plan.blocks) == 1 else replanned(plan, whole(plan.config))


def end_to_end_in_blocks(plan: Plan, slices: int) -> Plan | None:
    """The same, cut into the plan's own blocks, and the batch into slices: what a pipeline trains."""
    after = [block.layers[-1] for block in plan.blocks[:-1]]
    config = whole(plan.config).model_copy(update={"split": Split(after=after) if after else Split(blocks=1)})
    config = config.model_copy(update={"levels": [Level(name="end_to_end", window=len(plan.blocks))]})
    return replanned(plan, config.changed("train", micro_batches=slices))


def replanned(plan: Plan, config: SpecModel) -> Plan | None:
    """The plan of another configuration of the same backbone on the same images; None where that cannot be."""
    spec = loads(dump(config)).on(plan.memory.device)
    backbone = frozen(config.network(plan.data), config.train.freeze)
    draft = recompiled(Draft(spec, (), plan.data, backbone), config)
    return None if draft is None else draft.plan


def whole(config: SpecModel) -> SpecModel:
    """The configuration with one block, without auxiliary networks, levels, links and what packages add to a step."""
    fields = SpecModel.model_fields
    plain = {name: fields[name].get_default() for name in ("auxiliary", "ema_links")}
    levels, split = [Level(name="independent")], Split(blocks=1)
    config = config.model_copy(update={**plain, "levels": levels, "split": split, "budget": None})
    return config.changed("train", instructions=[])
