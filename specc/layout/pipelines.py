"""Pipelines that train a network end to end, for comparison: in which order a stage computes the slices of a batch.

GPipe (Huang et al., 2019, arXiv:1811.06965) computes all slices forward, then all backward, so that a stage keeps the
activations of all of them. 1F1B (PipeDream-Flush; Narayanan et al., 2021, arXiv:2104.04473) alternates as soon as the
pipeline is full, so that stage s of p keeps those of p - s slices. Both leave (p - 1) / (m + p - 1) of a step idle
where m slices go through p equal stages and nothing takes time on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ..plan import Backward, Extension, Instruction, Receive, Send, Step

Arrange = Callable[[int, int, Sequence[Instruction]], list[Instruction]]  # stage, stages, and what the stage does


def bubble(stages: int, slices: int) -> float:
    """The share of a step that equal stages are idle.

    >>> bubble(4, 4), bubble(4, 29)
    (0.42857142857142855, 0.09375)
    """
    return (stages - 1) / (slices + stages - 1)


def gpipe(stage: int, stages: int, instructions: Sequence[Instruction]) -> list[Instruction]:
    """All slices forward, then all backward."""
    slices = _slices(instructions)
    return _ordered(instructions, ((i, back) for back in (False, True) for i in range(slices)))


def one_forward_one_backward(stage: int, stages: int, instructions: Sequence[Instruction]) -> list[Instruction]:
    """As many slices forward as fill the pipeline from here on, then a forward and a backward in turn."""
    return _ordered(instructions, _alternating(min(_slices(instructions), stages - 1 - stage), _slices(instructions)))


def _alternating(ahead: int, slices: int) -> Iterator[tuple[int, bool]]:
    yield from ((i, False) for i in range(ahead))
    for i in range(slices):
        if ahead + i < slices:
            yield ahead + i, False
        yield i, True


def _slices(instructions: Sequence[Instruction]) -> int:
    return 1 + max(each.slice for each in instructions)


def _ordered(instructions: Sequence[Instruction], turns: Iterable[tuple[int, bool]]) -> list[Instruction]:
    """Slice by slice, forward or backward, and at the end what is done once a step."""
    found: dict[tuple[int, bool], list[Instruction]] = {}
    last: list[Instruction] = []
    gradients = {value for each in instructions if isinstance(each, Backward) for value in _gradients(each)}
    for each in instructions:
        if isinstance(each, Step | Extension):
            last.append(each)
            continue
        moves = isinstance(each, Send | Receive) and each.value in gradients
        found.setdefault((each.slice, moves or isinstance(each, Backward)), []).append(each)
    return [each for turn in turns for each in found.get(turn, ())] + last


def _gradients(each: Backward) -> Iterator[str]:
    yield each.cotangent
    if each.gradient:
        yield each.gradient
