"""What lies beside a file of the user's own and is imported by it: each folder's, whatever another one's are called."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

# by folder and name, also while another folder's stands in their place
_imported: dict[str, dict[str, ModuleType]] = {}


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
    count, finder = len(sys.modules), _Finder(folder)
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.meta_path.remove(finder)
        with suppress(ValueError):  # whoever wrote the file may have removed it
            sys.path.remove(folder)
        if others or len(sys.modules) != count:  # the same is asked for every sample of a data set
            _imported[folder] = dict(_of(folder))
        for name in _imported[folder] if others else ():
            if _lies_in(name, others):
                sys.modules.pop(name, None)
        sys.modules.update(others)


def importing(module: ModuleType, path: str) -> None:
    """Have whatever code of a module imports found beside a file, whenever it is run: a forward may import as well.

    An import that stands in a function asks the builtins of its module, which are its own from now on.
    """
    place = os.path.abspath(path)

    def found(*args: Any, **kwargs: Any) -> ModuleType:
        with beside(place):
            return builtins.__import__(*args, **kwargs)

    vars(module)["__builtins__"] = {**vars(builtins), "__import__": found}


class _Loader(SourceFileLoader):
    """Of a file that lies in a folder, and imports what lies there too."""

    def __init__(self, name: str, path: str, folder: str) -> None:
        super().__init__(name, path)
        self.folder = folder

    def exec_module(self, module: ModuleType) -> None:
        importing(module, os.path.join(self.folder, "any.py"))
        super().exec_module(module)


class _Finder:
    """Finds what lies in a folder before anything else does."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """How to import it; None where it lies elsewhere."""
        top = os.path.join(self.folder, name.partition(".")[0]) + os.sep
        mine = path is None or any(f"{each}{os.sep}".startswith(top) for each in path)
        if not mine or name in sys.builtin_module_names:
            return None
        found = PathFinder.find_spec(name, [self.folder] if path is None else path, target)
        if found is None or found.origin is None or type(found.loader) is not SourceFileLoader:
            return None
        found.loader = _Loader(name, found.origin, self.folder)
        return found


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
