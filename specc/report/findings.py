"""What the data of a run say: where it peaked, which unit learns least, whether it still learns, or learns by heart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import linear_regression, pstdev

from ..plan import Backward, Branch, BranchBackward, EmaUpdate, Forward, Head, Instruction, Plan
from .subject import Curve, Subject
from .words import SHARES

STILL = 0.005  # that is worth going on for
OVERFITTED = 0.05  # that the loss has risen by since it was lowest
GAP = 0.1  # between images that are trained on and others


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a step takes most, by prediction and as it was measured."""

    instruction: Instruction
    categories: Mapping[str, int]
    measured: Instruction | None

    @property
    def largest(self) -> str:
        """The category that most of it is."""
        return max(self.categories, key=lambda name: self.categories[name])


def peak(subject: Subject) -> Peak | None:
    """Of one step."""
    plan = subject.plan
    if plan is None or not plan.memory.timeline:
        return None
    found, step = plan.memory, subject.step
    measured = None
    if step and step.peak_bytes:
        measured = plan.instructions[max(range(len(step.peak_bytes)), key=lambda place: step.peak_bytes[place])]
    return Peak(plan.instructions[found.peak_instruction], found.categories, measured)


def place(plan: Plan, instruction: Instruction) -> tuple[str, str]:
    """The block or unit that an instruction works for, and where in the network that is."""
    match instruction:
        case Forward() | Backward():
            return f"block {instruction.block}", f"its layers are {_layers(plan, instruction.block, instruction.block)}"
        case Head() | Branch() | BranchBackward() | EmaUpdate():
            unit = plan.by_unit[instruction.unit]
            blocks = f"block {unit.end}" if unit.start == unit.end else f"blocks {unit.start} to {unit.end}"
            return f"unit {unit.name}", f"it is {blocks}, {_layers(plan, unit.start, unit.end)}"
    return str(instruction), ""


def _layers(plan: Plan, start: int, end: int) -> str:
    first, last = plan.blocks[start].layers[0], plan.blocks[end].layers[-1]
    return first if first == last else f"{first} … {last}"


@dataclass(frozen=True, slots=True)
class Least:
    """The unit that adds least to what is known before it, in its own level."""

    name: str
    value: float
    before: str | None  # the unit that it follows; None where that is chance
    gain: float
    blocks: tuple[int, int]

    @property
    def nothing(self) -> bool:
        """Whether it hardly adds anything."""
        return self.gain < 0.005


def least(subject: Subject) -> Least | None:
    """By the last evaluation; None where fewer than two units answer by themselves."""
    if len(subject.worth) < 2 or subject.metric not in SHARES:
        return None
    found = []
    for own in by_level(subject).values():
        before: str | None = None
        for name in own:
            last = subject.worth[before] if before else chance(subject)
            unit = dict(subject.answering)[name]
            value = subject.worth[name]
            found.append(Least(name, value, before, value - last, (unit.start, unit.end)))
            before = name
    return min(found, key=lambda each: each.gain)


def gained(found: Least, subject: Subject) -> str:
    """What a unit adds to the one before it."""
    than = subject.short(found.before) if found.before else "chance"
    points = f"{abs(found.gain) * 100:.1f} percentage points"
    if points.startswith("0.0 "):
        return f"as much as {than}"
    return f"{points} {'more' if found.gain > 0 else 'less'} than {than}"


def by_level(subject: Subject) -> dict[str, list[str]]:
    """What answers by itself, level by level and head by head, the deepest last."""
    found: dict[str, list[str]] = {}
    for name, unit in subject.answering:
        head = name.removeprefix(unit.name).lstrip(".")
        found.setdefault(f"{unit.level}, {head}" if head else unit.level, []).append(name)
    return found


def chance(subject: Subject) -> float:
    """What who knows nothing tells rightly: one in so many classes."""
    classes = subject.plan.data.classes if subject.plan else 0
    return 1 / classes if classes and subject.metric == "accuracy" else 0.0


def still_learning(subject: Subject) -> float | None:
    """How much better the network became over the last third of the epochs, as far as that is no noise.

    A line through what was found after them rises by so much, and by more than what is found lies beside it.
    """
    curve = subject.network[-(len(subject.network) // 3) :]
    if len(curve) < 3 or subject.metric not in SHARES:
        return None
    values = [value for _, value in curve]
    line = linear_regression(range(len(values)), values)
    rise = line.slope * (len(values) - 1)
    beside = pstdev(value - line.slope * place for place, value in enumerate(values))
    return rise if rise > max(STILL, 2 * beside) else None


@dataclass(frozen=True, slots=True)
class Overfitting:
    """How the loss rose after it was lowest, or how much better the network is on what it was trained with."""

    best_epoch: int | None
    gap: float


def overfitting(subject: Subject) -> Overfitting | None:
    """Whether the network learns its training set by heart."""
    losses = subject.curve(f"{subject.half}_loss")
    running = subject.curve(f"train_{subject.task.running}") if subject.task else []
    same = subject.task is not None and subject.task.running == subject.metric
    gap = running[-1][1] - subject.network[-1][1] if same and running and subject.network else 0.0
    lowest = min(losses, key=lambda each: each[1], default=None)
    risen = lowest is not None and losses[-1][1] > (1 + OVERFITTED) * lowest[1] and _falls(subject)
    if not risen and gap < GAP:
        return None
    return Overfitting(lowest[0] if lowest and risen else None, gap)


def _falls(subject: Subject) -> bool:
    """Whether the last unit's loss on the training set still falls, as that of others rises."""
    plan = subject.plan
    if plan is None or not plan.units or not plan.units[-1].heads:
        return False
    unit = plan.units[-1]
    curve = subject.curve(f"train_{unit.name}.{unit.heads[0].term}")
    return len(curve) > 1 and curve[-1][1] < curve[0][1] and all(b[1] < 1.5 * a[1] for a, b in pairwise(curve))


def waiting(subject: Subject) -> float | None:
    """The part of an epoch in which no step was computed, evaluation aside; None where nobody timed it."""
    epochs, step = subject.curve("seconds"), subject.record.said.step_seconds_median
    done = subject.record.said
    if not epochs or not step or not done.epochs or done.steps % done.epochs:
        return None
    whole, busy = _mean(epochs), step * (done.steps // done.epochs)
    return max(0.0, 1 - busy / whole) if whole else None


def _mean(curve: Curve) -> float:
    return sum(value for _, value in curve) / len(curve)
