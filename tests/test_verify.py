"""The verifier accepts what the compiler makes, and notices every single thing that is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specc
from specc.compiler.dependencies import by_slices
from specc.compiler.schedule import order
from specc.compiler.verify import verify
from specc.pipeline import run_passes
from specc.plan import Backward, BranchBackward, EmaUpdate, Free, Head, Instruction, Plan
from specc.plan.lifetimes import with_frees, with_retain
from specc.spec.load import Spec

from .documents import HPFF, MAN, Document, compiled, document, documents, spec_of
from .shipped import SHIPPED, plan_of


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_specs_are_sound(path: Path) -> None:
    assert verify(plan_of(path)) == []


@given(documents())
@settings(max_examples=60)
def test_whatever_is_compiled_is_sound(drawn: Document) -> None:
    assert verify(specc.compile(spec_of(drawn))) == []


# --------------------------------------------------------------------------------------- single instructions


@given(documents(), st.data())
@settings(max_examples=40)
def test_a_dropped_instruction_is_noticed(drawn: Document, data: st.DataObject) -> None:
    plan = specc.compile(spec_of(drawn))
    i = data.draw(st.integers(0, len(plan.instructions) - 1))
    assert verify(having(plan, plan.instructions[:i] + plan.instructions[i + 1 :]))


@given(documents(), st.data())
@settings(max_examples=40)
def test_a_repeated_instruction_is_noticed(drawn: Document, data: st.DataObject) -> None:
    plan = specc.compile(spec_of(drawn))
    i = data.draw(st.integers(0, len(plan.instructions) - 1))
    j = data.draw(st.integers(0, len(plan.instructions)))
    assert verify(having(plan, (*plan.instructions[:j], plan.instructions[i], *plan.instructions[j:])))


@given(documents(), st.data())
@settings(max_examples=40)
def test_a_value_freed_at_another_place_is_noticed(drawn: Document, data: st.DataObject) -> None:
    """Too early, so that a reader finds nothing; or later than the last reader, so that memory is wasted."""
    plan = specc.compile(spec_of(drawn))
    frees = [i for i, instruction in enumerate(plan.instructions) if instruction.kind == "free"]
    i = data.draw(st.sampled_from(frees))
    rest = plan.instructions[:i] + plan.instructions[i + 1 :]
    j = data.draw(st.integers(0, len(rest)).filter(lambda j: j != i))
    assert verify(having(plan, (*rest[:j], plan.instructions[i], *rest[j:])))


def test_values_of_the_caller_are_not_freed() -> None:
    plan = compiled()
    broken = having(plan, (*plan.instructions, Free(values=("x4",))))
    assert any("`x4` belongs to the caller" in line for line in verify(broken))


def test_a_wrong_flag_is_noticed() -> None:
    plan = compiled(**HPFF)
    for i, one in enumerate(plan.instructions):
        if isinstance(one, Backward):
            changed = replace(one, retain=not one.retain)
            found = verify(having(plan, (*plan.instructions[:i], changed, *plan.instructions[i + 1 :])))
            assert found == [f"{i}: {changed}: `retain` should be {one.retain}"]


def named_values() -> list[tuple[int, str]]:
    """Every field of an instruction that names a value."""
    plan = compiled(**HPFF, **MAN)
    fields = [(i, f.name) for i, one in enumerate(plan.instructions) for f in dataclass_fields(one)]
    return [(i, name) for i, name in fields if isinstance(getattr(plan.instructions[i], name), str)
            and name not in ("kind", "unit", "head", "group")]  # fmt: skip


def test_every_value_that_an_instruction_names_is_the_right_one() -> None:
    """Another name, which no other instruction has, is noticed; so is none where there should be one."""
    plan = compiled(**HPFF, **MAN)
    for i, name in named_values():
        for other in ("stranger", None):
            changed = replace(plan.instructions[i], **{name: other})
            found = verify(having(plan, (*plan.instructions[:i], changed, *plan.instructions[i + 1 :])))
            assert found, f"{plan.instructions[i]} with {name}={other}"


def test_a_gradient_that_leaves_its_window_is_noticed() -> None:
    plan = compiled()
    i = next(i for i, one in enumerate(plan.instructions) if isinstance(one, Backward) and one.block == 2)
    stray = replace(plan.instructions[i], start=1)
    found = verify(having(plan, (*plan.instructions[:i], stray, *plan.instructions[i + 1 :])))
    assert f"{i}: backward block2 to block1: does not belong here" in found


# --------------------------------------------------------------------------------------- order


@given(documents(), st.data())
@settings(max_examples=40)
def test_every_broken_hazard_is_noticed(drawn: Document, data: st.DataObject) -> None:
    """A task moved before one that it depends on, with flags and frees put right again, still breaks a promise."""
    spec = spec_of(drawn)
    plan, tasks = specc.compile(spec), tasks_of(spec)
    assert verify(sealed(plan, tasks)) == []
    pairs = [(i, j) for j, task in enumerate(tasks) for i in range(j) if depends(task, tasks[i])]
    for i, j in data.draw(st.lists(st.sampled_from(pairs), max_size=10, unique=True)):
        moved = [*tasks[:i], tasks[j], *tasks[i:j], *tasks[j + 1 :]]
        assert verify(sealed(plan, moved)), f"{tasks[j]} before {tasks[i]}"


def depends(later: Instruction, earlier: Instruction) -> bool:
    """Whether two tasks conflict over something that is more than a sum, whose terms may come in any order."""
    reads = {name for name in later.reads if not chosen(later, name)}
    conflict = (earlier.writes & (reads | later.writes)) | (earlier.reads & later.writes)
    return bool({name for name in conflict if not chosen(earlier, name)} - (sums(earlier) & sums(later)))


def sums(task: Instruction) -> frozenset[str]:
    """What a task adds to: gradients, and the graph that the last of several backwards ends."""
    return task.reads & task.writes if isinstance(task, Head | BranchBackward | Backward) else frozenset()


def chosen(task: Instruction, name: str) -> bool:
    """The compiler's own choice and no promise: averages are updated after their unit's backward."""
    return isinstance(task, EmaUpdate) and name.startswith("grads:")


NAMED = {
    "a step before its gradient": ("step block1", "backward block1 to block1", "comes before the gradient of"),
    "a step before a read": ("step block1", "backward block1 to block0", "comes before the gradient of"),
    "an average after its source's step": (
        "step block1", "ema_update unit0.independent", "reads the parameters of block1 after their step",
    ),
    "an average before its copies are read": (
        "ema_update unit0.independent", "branch unit0.independent", "reads EMA copies after their update",
    ),
    "a backward before a head": (
        "backward block0 to block0", "head unit0.independent.classifier", "lacks the gradient of",
    ),
    "a block before its input": ("forward block1", "forward block0", "reads `x1`, which is not alive"),
}  # fmt: skip


@pytest.mark.parametrize(("early", "late", "says"), NAMED.values(), ids=NAMED)
def test_what_is_wrong_is_said(early: str, late: str, says: str) -> None:
    spec = spec_of(document(**HPFF, **MAN))
    moved = before(tasks_of(spec), early, late)
    assert any(says in line for line in verify(sealed(specc.compile(spec), moved)))


def tasks_of(spec: Spec) -> list[Instruction]:
    return list(order(by_slices(run_passes(spec))))


def before(tasks: list[Instruction], early: str, late: str) -> list[Instruction]:
    """The tasks with `early` moved right before `late`."""
    moving = next(task for task in tasks if str(task) == early)
    rest = (task for task in tasks if task is not moving)
    return [one for task in rest for one in ([moving, task] if str(task) == late else [task])]


def sealed(plan: Plan, tasks: Sequence[Instruction]) -> Plan:
    """The plan with these tasks, retain flags and frees made for their order."""
    return having(plan, tuple(with_frees(with_retain(list(tasks)), len(plan.blocks) - 1)))


def having(plan: Plan, instructions: tuple[Instruction, ...]) -> Plan:
    return replace(plan, instructions=instructions)
