"""Python files of the user's own: imported, called, and what goes wrong in them told with its line."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class CodeError(Exception):
    """Code of the user's own that cannot be used: what is wrong with it, and where in it."""


def module_of(path: str, digest: str) -> ModuleType:
    """The file as a module; what lies beside it can be imported by it. Raises `CodeError`."""
    name = f"specc_module_{hashlib.sha256(path.encode()).hexdigest()[:8]}_{digest[:16]}"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, path)
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = made = importlib.util.module_from_spec(found)
        try:
            with _beside(path):
                found.loader.exec_module(made)
        except BaseException as error:
            del sys.modules[name]
            if not isinstance(error, Exception):
                raise
            raise CodeError(f"{path} cannot be imported: {raised(error, path)}") from error
    return sys.modules[name]


def called(path: str, what: str, call: Callable[[], T]) -> T:
    """What code of a file gives; whatever it raises becomes a `CodeError` that names the line."""
    try:
        with _beside(path):
            return call()
    except MemoryError:  # of the machine's, and not the code's fault
        raise
    except Exception as error:
        raise CodeError(f"{what} raises {raised(error, path)}") from error


@contextmanager
def _beside(path: str) -> Iterator[None]:
    """What lies beside a file can be imported."""
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # whoever wrote the file may have removed it
            sys.path.remove(folder)


def raised(error: BaseException, path: str) -> str:
    """``ValueError: no such label (data.py:12)``: what was raised, and the last line of the file on the way there."""
    text = " ".join(str(error).split())
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == path else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" ({Path(path).name}:{line})" if line else ""
    return f"{type(error).__name__}{': ' * bool(text)}{text}{where}"
