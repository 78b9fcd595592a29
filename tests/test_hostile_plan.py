"""A plan from a stranger: no name in it is one that a shell or a terminal acts on, and it holds together."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from runtime import Session
from specc.plan.sound import faults, read
from tests.documents import HPFF, MAN, compiled
from tests.fuzz.paths import at, put, walk

EVIL = (
    "$(touch marker)", "`touch marker`", "a;touch marker", "a\ntouch marker", "../../etc/x", "/etc/x",
    "\x1b]0;x\x07", "#", "a b", "", "-rf", "=cmd|x", "\u202eevil", "a'b",
)  # fmt: skip
STRIDE = 3
FREE = {"config", "memory", "class_names"}  # a spec, which is validated as one; what is shown, with care, and not used


@pytest.fixture(scope="module")
def written() -> Any:
    """Three blocks: one that is first, one that is last, and one that is neither."""
    backbone = {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]}
    split = {"after": ["stage1.0", "stage2.0"]}
    return json.loads(compiled(**HPFF, **MAN, backbone=backbone, split=split).to_json())


def test_a_plan_of_the_compiler_holds_together(written: Any) -> None:
    assert list(faults(read(json.dumps(written)))) == []


def texts(document: Any) -> list[tuple[Any, ...]]:
    """One place of every kind at which a plan has a text."""
    places = {}
    for path in walk(document):
        if isinstance(at(document, path), str) and FREE.isdisjoint(path):
            places.setdefault(tuple(part for part in path if isinstance(part, str)), path)
    return list(places.values())


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_of_a_plan_may_be_more_than_a_name(evil: str, written: Any) -> None:
    """Losses, ops, layers, tensors, units, values: whatever is later written into a file or shown.

    Every third place meets an evil, so that each place meets four or five of them: the whole plan is read each time.
    """
    for path in texts(written)[EVIL.index(evil) % STRIDE :: STRIDE]:
        if evil or path[-1] not in ("prefix", "files"):  # of a backbone's tensors and of other data sets there is none
            assert refused(written, path, evil), path


def refused(written: Any, path: tuple[Any, ...], value: Any) -> bool:
    """Whether it is no plan with a value at a place, which has its own again afterwards: a copy takes long."""
    own = at(written, path)
    put(written, path, value)
    try:
        read(json.dumps(written))
    except ValueError:
        return True
    finally:
        put(written, path, own)
    return False


def test_a_step_reads_nothing_that_is_not_there(written: Any) -> None:
    """Nobody brings it, or it is freed before."""
    instructions = written["instructions"]
    for i, instruction in enumerate(instructions):
        if instruction["kind"] in ("forward", "branch"):
            assert refused(written, ("instructions",), instructions[:i] + instructions[i + 1 :]), instruction
    free = next(i for i, instruction in enumerate(instructions) if instruction["kind"] == "free")
    early = [*instructions[: free - 1], instructions[free], instructions[free - 1], *instructions[free + 1 :]]
    assert refused(written, ("instructions",), early)


@pytest.mark.parametrize("key", ["networks", "sources"])
def test_no_key_of_a_plan_may_be_more_than_a_name(key: str, written: Any) -> None:
    path = next(path for path in walk(written) if path and path[-1] == key and at(written, path))
    document = copy.deepcopy(written)
    found = at(document, path)
    found["$(touch marker)"] = found.pop(next(iter(found)))
    with pytest.raises(ValueError):
        read(json.dumps(document))


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_that_is_read_can_be_brought_to_life(seed: int, written: Any) -> None:
    """With a part of it in the place of another, or without it: what is taken for a plan has all that a step needs."""
    draw, document = random.Random(seed), copy.deepcopy(written)
    places = [path for path in walk(written) if path and path[0] not in ("config", "memory", "data")]
    path = draw.choice(places)
    alike = [other for other in places if type(at(written, other)) is type(at(written, path))]
    put(document, path, copy.deepcopy(at(written, draw.choice(alike))))
    try:
        plan = read(json.dumps(document))
    except ValueError:
        return
    Session(plan)
