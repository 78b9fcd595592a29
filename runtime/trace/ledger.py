"""Every storage that ops make, from its making to its death; torch only when called."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened to a storage; storages are numbered in the order of their making."""

    what: Literal["taken", "gone", "gradient"]
    storage: int
    tensor: int = -1  # whose gradient it is


@dataclass
class Book:
    """All that happened, in order."""

    entries: list[Entry] = field(default_factory=list)
    sizes: list[tuple[int, bool]] = field(default_factory=list)  # bytes of each storage, and whether they are fp32
    alive: dict[int, int] = field(default_factory=dict)  # the numbers of storages by what tells them apart

    def number(self, tensor: Any) -> int:
        """Of a tensor's storage; -1 where it was there before."""
        return self.alive.get(place(tensor), -1)


def place(tensor: Any) -> int:
    """What tells storages apart, on fakes and on meta too."""
    return int(tensor.untyped_storage()._cdata)


def ledger(resident: Iterable[Any]) -> Any:
    """A mode that keeps the `book`; of what is `resident` it does not hear."""
    from torch import Tensor
    from torch.utils import _python_dispatch
    from torch.utils._pytree import tree_leaves

    mode: Any = _python_dispatch.TorchDispatchMode

    class Ledger(mode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.book = Book()
            self.known: dict[int, Any] = {place(tensor): tensor for tensor in resident}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor) and place(leaf) not in self.known:
                    self._add(leaf)
            return result

        def _add(self, tensor: Any) -> None:
            book, key, storage = self.book, place(tensor), tensor.untyped_storage()
            number = len(book.sizes)
            book.sizes.append((storage.nbytes(), tensor.element_size() == 4 and tensor.is_floating_point()))
            book.alive[key] = number
            book.entries.append(Entry("taken", number))
            self.known[key] = weakref.ref(storage, self._died(key, number))

        def _died(self, key: int, number: int) -> Callable[[Any], None]:
            def died(_: Any) -> None:
                del self.known[key], self.book.alive[key]
                self.book.entries.append(Entry("gone", number))

            return died

    return Ledger()
