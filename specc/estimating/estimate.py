"""The estimate of a network: what a step of end-to-end training takes, whether that fits, and what else would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..compiler.draft import Draft
from ..device import Answer, DeviceBytes
from ..diagnostics import Diagnostic, SpecError
from ..fit.comparison import Comparison
from ..fit.open_split import check_open_split
from ..fit.remedies import Remedy, check_budget, remedies
from ..fit.rivals import Rivals
from ..graph.traced.backbone import Backbone
from ..language.schema import parse_bytes
from ..pipeline import PREDICTING, run_passes
from ..plan import Plan
from ..profiles import Profile, find, here
from ..recipes.methods import of_spec
from ..spec.load import Spec
from ..system.devices import Device
from ..timing import StepTime
from ..views import Table
from ..views.device import asked
from ..views.estimate import as_text, estimate_document, estimate_lines, estimate_table
from ..views.rivals import rivals_lines, rivals_table
from ..views.step_time import timed
from .example import NotAnExample, example_of, of_traced
from .subject import SAMPLES, Subject, called, given, named


@dataclass(frozen=True)
class Advice:
    """What would fit a budget: exact training made smaller, beside the best of each local method."""

    rivals: Rivals
    device: Device

    def __str__(self) -> str:
        return as_text(rivals_table(self.rivals, self.device), *rivals_lines(self.rivals))


@dataclass(frozen=True)
class Estimate:
    """What one step of training a network end to end takes, predicted.

    `device_bytes` is what a process takes of a GPU, as `nvidia-smi` shows it; None on a CPU. `time` is None where no
    device is known. `answer` says whether it fits the memory of the device whose profile was named. `assumed` is what
    nobody said and was taken to be so, in words.
    """

    plan: Plan
    device_bytes: DeviceBytes | None
    answer: Answer | None
    time: StepTime | None
    profile: Profile | None = field(repr=False)
    draft: Draft = field(repr=False)
    assumed: tuple[str, ...] = ()

    @property
    def peak_bytes(self) -> int:
        """The most bytes of tensors that are alive at once, which a budget is about."""
        return self.plan.memory.peak_bytes

    @property
    def categories(self) -> Mapping[str, int]:
        """What is alive at the peak."""
        return self.plan.memory.categories

    @property
    def budget(self) -> int | None:
        """The budget in bytes."""
        return self.plan.config.budget.memory if self.plan.config.budget else None

    @property
    def fits(self) -> bool | None:
        """Whether the peak is within the budget, and the step fits the device that was named; None without either."""
        held = [] if self.budget is None else [self.peak_bytes <= self.budget]
        held += [] if self.answer is None else [self.answer.verdict != "does not fit"]
        return all(held) if held else None

    def advice(self, budget: str | int | None = None, methods: Sequence[str] = ()) -> Advice:
        """The rivals under a budget, by default its own, as `specc fit --rivals` shows them. It takes a while.

        Raises `ValueError` where there is no budget, `UnknownMethod` for methods that no recipe trains by, and
        `SpecError` where nothing can be compared.
        """
        limit = self.budget if budget is None else int(parse_bytes(budget))
        if limit is None:
            raise ValueError("advice is about a budget: give one, like advice('8 GiB')")
        draft = check_open_split(self.draft, any_blocks=True)
        found = None
        if not draft.failed:
            found = Comparison(draft, self.profile).under(limit, of_spec(draft.spec.config, methods))
        if found is None:
            raise SpecError(draft.diagnostics, draft.spec.sources)
        return Advice(found, self.plan.memory.device)

    def remedies(self) -> tuple[Remedy, ...]:
        """Changes that each fit the budget, the cheapest first; none where it fits anyway."""
        over = self.budget is not None and self.peak_bytes > self.budget
        return tuple(remedies(self.draft, self.budget or 0)) if over else ()

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What there is to say of it, a peak over the budget with what to do about it among that."""
        return check_budget(self.draft).diagnostics

    def document(self) -> dict[str, Any]:
        """The estimate for machines: what `specc estimate --format json` prints."""
        return estimate_document(self.plan, self.profile, self.time, self.fits, self.remedies(), self.assumed)

    def parts(self) -> Iterator[str | Table]:
        """The estimate for people."""
        yield estimate_table(self.plan)
        yield from self.assumed
        yield from estimate_lines(self.plan, self.profile, self.time)

    def __str__(self) -> str:
        return as_text(*self.parts())


def estimate(
    network: str | Backbone,
    example: Any = None,
    *,
    optimizer: str | Mapping[str, Any] = "adamw",
    precision: str = "bf16",
    budget: str | int | None = None,
    batch: int | None = None,
    classes: int | None = None,
    vocabulary: int | None = None,
    device: Device = "cuda",
    device_profile: str | Profile | None = None,
    overrides: Sequence[str] = (),
) -> Estimate:
    """See `specc.estimate`."""
    traced = network if isinstance(network, Backbone) else None
    said = given(traced) if traced else named(str(network))
    read = of_traced(traced, example) if traced else example_of(example)
    tokens = read.is_text(vocabulary is not None or "transformers" in said)
    if vocabulary is not None and not tokens:
        raise NotAnExample(f"a vocabulary is of the tokens of a text, (L,) or a batch of whole numbers, not of {read}")
    read = read if tokens else read.of_one_row
    subject = Subject(
        called(traced.name if traced else str(network)), said, read.sample, batch or read.batch or SAMPLES, optimizer,
        precision, budget, classes, device, tuple(overrides), read.parts, tokens, vocabulary,
    ).complete()  # fmt: skip
    profile = find(device_profile) if isinstance(device_profile, str) else device_profile
    return estimated(subject.spec(), profile, subject.assumed)


def estimated(spec: Spec, profile: Profile | None = None, assumed: tuple[str, ...] = ()) -> Estimate:
    """The estimate of a spec, which is held to the memory of a profile's device; raises `SpecError`."""
    draft = run_passes(spec, PREDICTING)
    if draft.failed:
        raise SpecError(draft.diagnostics, spec.sources)
    known = profile or here(spec.device)
    found, said = asked(draft.plan, known)
    return Estimate(draft.plan, found, said if profile else None, timed(draft.plan, known), known, draft, assumed)
