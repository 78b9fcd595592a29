"""Which stage does what a package adds to a step: the one that has all that it works on, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..plan import Branch, Evict, Extension, Forward, Free, Instruction, Load
from ..plan.values import IMAGES, LABELS

Of = Callable[[Instruction], int]
OfState = Callable[[str], int | None]


def homes(instructions: Sequence[Instruction], last: int, of: Of, of_state: OfState) -> Mapping[str, frozenset[int]]:
    """By the name of every instruction of a package the stages that have what it works on: more than one, and none can.

    State is where its block, head or unit is. A value that it changes is where others go on with it; one that carries
    the way of a gradient stays where it was made. What it only reads can be sent there.
    """
    ordered = [each for each in instructions if not isinstance(each, Free | Load | Evict)]
    made: dict[str, set[int]] = {}
    tied = {name for each in ordered for name in _ways(each)}
    found: dict[str, frozenset[int]] = {}
    for i, each in enumerate(ordered):
        here = {of(each)} if not isinstance(each, Extension) else set(_bound(each, made, tied, _later(ordered, i, of)))
        if isinstance(each, Extension):
            here |= {stage for name in _state(each) if (stage := of_state(name)) is not None}
            here = here or {max((stage for name in each.reads for stage in made.get(name, ())), default=last)}
            found[str(each)] = found.get(str(each), frozenset()) | here
        for name in each.writes:
            made.setdefault(name, set()).add(min(here))
    return found


def _ways(each: Instruction) -> Iterator[str]:
    """Values along which gradients come back."""
    if isinstance(each, Forward | Branch):
        yield from (name for name in (each.graph, each.leaf) if name)


def _state(each: Instruction) -> Iterator[str]:
    return (name for name in sorted(each.reads | each.writes) if ":" in name)


def _later(ordered: Sequence[Instruction], i: int, of: Of) -> Callable[[str], set[int]]:
    return lambda value: {
        of(each) for each in ordered[i + 1 :] if not isinstance(each, Extension) and value in each.reads
    }


def _bound(
    each: Instruction, made: Mapping[str, set[int]], tied: set[str], later: Callable[[str], set[int]]
) -> Iterator[int]:
    """The stages that it has to be done by because of its values."""
    for name in sorted(each.reads | each.writes):
        makers = made.get(name, {0} if name.partition("@")[0] in (IMAGES, LABELS) else set())
        if name in tied:
            yield from makers
        elif makers and (name in each.writes or len(makers) > 1):
            readers = later(name)
            yield from readers if len(readers) == 1 else makers


def taken(each: Instruction) -> frozenset[str]:
    """The values that have to be there before an instruction: of specc's own not what they add to."""
    return each.reads if isinstance(each, Extension) else each.reads - each.writes
