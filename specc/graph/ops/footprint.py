"""What a measured part takes in memory: the storages that it takes and lets go of, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import Field

NOBODY = -1  # where no gradient lies
_EVENT = r"(\+-?\d{1,18}(,-?\d{1,18})?|-\d{1,9}|\d{1,9}>\d{1,9})"
Text = Annotated[str, Field(pattern=rf"^({_EVENT}( {_EVENT})*)?$")]


class Bytes(NamedTuple):
    """Of a storage, which may grow with the batch."""

    sample: int
    fixed: int

    def of(self, batch: int) -> int:
        """For so many samples."""
        return max(self.sample * batch + self.fixed, 0)


class Event(NamedTuple):
    """A storage is taken, which gets the next number; or one is let go of, or found to be a tensor's gradient."""

    takes: Bytes | None
    storage: int = NOBODY
    tensor: int = NOBODY


class Timeline(NamedTuple):
    """What happens, and which storages are gradients of tensors."""

    events: tuple[Event, ...]
    taken: int
    gradients: frozenset[int]


@lru_cache(maxsize=4096)
def timeline(text: str, given: int) -> Timeline:
    """Read a timeline that begins with so many storages: many parts of a network have the same one.

    ``+8`` takes 8 bytes a sample, ``+8,4`` as many and 4 further ones; ``-2`` lets go of the storage that has the
    number 2, and ``2>0`` says that it is the gradient of the part's first tensor.

    >>> timeline("+8,4 2>0 -2", 2).events
    (Event(takes=Bytes(sample=8, fixed=4), storage=2, tensor=-1), Event(takes=None, storage=2, tensor=0), \
Event(takes=None, storage=2, tensor=-1))
    """
    found, held, here = list[Event](), given, set(range(given))
    gradients = set[int]()
    for word in text.split():
        event = _event(word, held)
        if event.takes is not None:
            here.add(held)
            held += 1
        elif event.storage not in here:
            raise ValueError(f"storage {event.storage} is not there")
        elif event.tensor == NOBODY:
            here.discard(event.storage)
        else:
            gradients.add(event.storage)
        found.append(event)
    return Timeline(tuple(found), held - given, frozenset(gradients))


def _event(word: str, held: int) -> Event:
    if word.startswith("+"):
        sample, _, fixed = word[1:].partition(",")
        return Event(Bytes(int(sample), int(fixed or 0)), held)
    if word.startswith("-"):
        return Event(None, int(word[1:]))
    storage, _, tensor = word.partition(">")
    return Event(None, int(storage), int(tensor))


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a part takes where its inputs have certain widths, and gradients come to some of them, or to its tensors.

    Storages have numbers. In a forward the inputs come first; in a backward the gradient of the result, and then what
    was kept. What a backward has taken and is no gradient is gone when it ends.
    """

    low: bool  # in low precision
    widths: tuple[int, ...]  # bytes of one number of each input
    wanted: tuple[bool, ...]  # the inputs that gradients come to
    trained: bool  # whether gradients come to its tensors
    gives: int  # bytes of one number of the result
    forward: Text
    result: int  # where that lies
    kept: tuple[int, ...] = ()  # for the backward
    until: int = 0  # how much has happened when the last of it is there: what computes it again goes no further
    backward: Text = ""
    gradients: tuple[int, ...] = ()  # where those of the inputs lie in the end

    def __post_init__(self) -> None:
        """Raise `ValueError` where a number stands for nothing."""
        forward, back = self.forwards, self.backwards
        made, last = len(self.widths) + forward.taken, 1 + len(self.kept) + back.taken
        known = [0 <= each < made for each in (self.result, *self.kept)]
        known += [NOBODY <= each < last for each in self.gradients]
        if not all(known) or not 0 <= self.until <= len(forward.events):
            raise ValueError("a storage is not there")
        if not len(self.widths) == len(self.wanted) == len(self.gradients or self.widths):
            raise ValueError("inputs are missing")

    @property
    def forwards(self) -> Timeline:
        """The forward, read."""
        return timeline(self.forward, len(self.widths))

    @property
    def backwards(self) -> Timeline:
        """The backward, read."""
        return timeline(self.backward, 1 + len(self.kept))
