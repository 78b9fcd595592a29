"""What lies beside a file of the user's own and is imported by it: each folder's, whatever another one's are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

_imported: dict[
    str, dict[str, ModuleType]
] = {}  # by folder and name, also while another folder's stands in their place


@contextmanager
def beside(path: str) -> Iterator[None]:
    """While entered, what lies beside a file can be imported, and nothing of that name beside another one is.

    What Python hands over is of no file.
    """
    if not path:
        yield
        return
    folder = os.path.dirname(os.path.abspath(path))
    others = _stood_aside(folder)
    for name, module in _imported.setdefault(folder, {}).items():
        sys.modules.setdefault(name, module)
    count = len(sys.modules)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # whoever wrote the file may have removed it
            sys.path.remove(folder)
        if others or len(sys.modules) != count:  # the same is asked for every sample of a data set
            _imported[folder] = dict(_of(folder))
        for name in _imported[folder] if others else ():
            if _lies_in(name, others):
                sys.modules.pop(name, None)
        sys.modules.update(others)


def forget(path: str) -> None:
    """Have what lies beside a file imported anew, as it has changed."""
    for name, module in _imported.pop(os.path.dirname(os.path.abspath(path)), {}).items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


def _stood_aside(folder: str) -> dict[str, ModuleType]:
    """Other folders' modules that have a name of this one's, no longer among those that are imported."""
    held = {name: module for other, own in _imported.items() if other != folder for name, module in own.items()
            if sys.modules.get(name) is module}  # fmt: skip
    tops = {name.partition(".")[0] for name in held}
    mine = {top for top in tops if any(os.path.exists(os.path.join(folder, file)) for file in (f"{top}.py", top))}
    return {name: sys.modules.pop(name) for name in held if name.partition(".")[0] in mine}


def _lies_in(name: str, others: dict[str, ModuleType]) -> bool:
    return any(name.partition(".")[0] == other.partition(".")[0] for other in others)


def _of(folder: str) -> Iterator[tuple[str, ModuleType]]:
    """The modules that are imported now and come from a folder, under the names that it gives them."""
    for name, module in list(sys.modules.items()):
        place = os.path.join(folder, name.partition(".")[0])
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
        if file == f"{place}.py" or f"{file}{os.sep}".startswith(place + os.sep):
            yield name, module
