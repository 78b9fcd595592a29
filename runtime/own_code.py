"""Python files of the user's own: imported, called, and what goes wrong in them told with its line."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TypeVar

from .neighbours import beside, forget, importing

T = TypeVar("T")


class CodeError(Exception):
    """Code of the user's own that cannot be used: what is wrong with it, and where in it."""


def module_of(path: str, digest: str) -> ModuleType:
    """The file as a module; what lies beside it can be imported by it. Raises `CodeError`.

    Where it was imported before with another digest, it has changed since, or what lies beside it has.
    """
    place = f"specc_module_{hashlib.sha256(path.encode()).hexdigest()[:8]}_"
    name = place + digest[:16]
    if name not in sys.modules:
        if any(other.startswith(place) for other in sys.modules):
            forget(path)
        found = importlib.util.spec_from_file_location(name, path)
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = made = importlib.util.module_from_spec(found)
        importing(made, path)
        try:
            with beside(path):
                found.loader.exec_module(made)
        except BaseException as error:
            del sys.modules[name]
            if not isinstance(error, Exception | SystemExit):
                raise
            raise CodeError(f"{path} cannot be imported: {raised(error, path)}") from error
    return sys.modules[name]


def called(path: str, what: str, call: Callable[[], T]) -> T:
    """What code of a file gives; whatever it raises becomes a `CodeError` that names the line."""
    try:
        with beside(path):
            return call()
    except MemoryError:  # of the machine's, and not the code's fault
        raise
    except (Exception, SystemExit) as error:
        raise CodeError(f"{what} raises {raised(error, path)}") from error


def raised(error: BaseException, path: str) -> str:
    """``ValueError: no such label (data.py:12)``: what was raised, and the last line of the user's on the way there."""
    line = _line_of(error.__traceback__, path)
    said = str(error)
    if isinstance(error, SyntaxError) and error.filename == path:
        said, line = error.msg, f"{Path(path).name}:{error.lineno}"
    text, where = " ".join(said.split()), f" ({line})" * bool(line)
    return f"{type(error).__name__}{': ' * bool(text)}{text}{where}"


def _line_of(trace: TracebackType | None, path: str) -> str:
    """The innermost line of the file, or of what lies beside it and was called from there; nothing where none is."""
    folder, found = os.path.dirname(path), ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file == path or (found and _beside(file, folder)):
            found = f"{os.path.relpath(file, folder)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _beside(file: str, folder: str) -> bool:
    """Whether a file is of the folder, and of no packages that are installed in it."""
    return file.startswith(folder + os.sep) and "site-packages" not in file.removeprefix(folder).split(os.sep)
