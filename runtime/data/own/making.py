"""From a function of the user's file to its data sets."""

from __future__ import annotations

import inspect
import json
from typing import Any

from specc.system.own_code import digest_of
from specc.tasks.own.asking import check_trusted
from specc.tasks.own.facts import OwnDataError
from specc.tasks.own.source import DataSource

from ...own_code import CodeError, called, module_of
from ..errors import DataError
from .sets import Sets, sets_of

HELP = ("the exception is the file's own: mend it there",)


def made(source: DataSource) -> Sets:
    """What the function makes, which is told `root` where it asks for it; raises `DataError`."""
    try:
        check_trusted(source)
    except OwnDataError as error:
        raise DataError(str(error), error.help, error.code) from None
    _check_unchanged(source)
    try:
        module = module_of(source.file, source.digest)
        function = getattr(module, source.function, None)
        if not callable(function):
            raise DataError(f"{source.file} has no function or class `{source.function}`", code="SPC608")
        found = called(source.file, source.called, lambda: function(**_told(function, source)))
    except CodeError as error:
        raise DataError(str(error), HELP, "SPC608") from error
    return sets_of(found, source.called, source.file)


def _told(function: Any, source: DataSource) -> dict[str, Any]:
    arguments: dict[str, Any] = json.loads(source.args)
    asks = "root" in inspect.signature(function).parameters and "root" not in arguments
    return ({"root": source.root} if asks else {}) | arguments


def _check_unchanged(source: DataSource) -> None:
    try:
        digest = digest_of(source.file)
    except OSError as error:
        raise DataError(f"{source.file} cannot be read: {error.strerror or error}", code="SPC608") from None
    if digest != source.digest:
        raise DataError(f"{source.file} has changed just now", ["try again"], "SPC608")
