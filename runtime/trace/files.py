"""Networks of files of the user's own: what a function in one makes."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from specc.diagnostics import did_you_mean
from specc.graph.families.foreign import untrusted
from specc.graph.ops.source import ASKED, Source
from specc.graph.problems import BackboneError, Problem
from specc.system.own_code import digest_of
from specc.system.trust import trusted

from ..own_code import CodeError, called, module_of
from .hidden import of_other_numbers, unreadable


def own_file(source: Source, path: str) -> bytes:
    """The file that a source was made of; raises `BackboneError` where it, or what it imports, is another one now."""
    if digest_of(path) != source.digest:
        text = f"{path} is not what it was when the network was planned"
        raise BackboneError(Problem("SPC309", text, source.where, "has changed", ("plan it again",)))
    return Path(path).read_bytes()


def check_module(source: Source) -> None:
    """Raise `BackboneError` unless somebody said that this code may be run."""
    if not trusted():
        raise untrusted(source)


def made_by(source: Source) -> nn.Module:
    """What the function of the file makes, which is told the number of classes where it asks for it."""
    path, _, name = source.name.rpartition(":")
    maker = _maker(source, path, name)
    arguments = json.loads(source.args)
    told = {key: source.classes for key in ASKED if key in _asked(maker) and key not in arguments}
    if told and not source.classes:
        text = f"{source.name} is not what its file says: it asks for `{next(iter(told))}`"
        raise BackboneError(Problem("SPC308", text, source.where, "asks for more"))
    help = ("`args: {NAME: VALUE}` under `backbone` are what it is called with",)
    try:
        found = called(path, source.name, lambda: maker(**told, **arguments))
    except CodeError as error:
        raise BackboneError(Problem("SPC308", str(error), source.where, "makes no network", help)) from error
    if not isinstance(found, nn.Module):
        text = f"{source.name} gives a `{type(found).__name__}`, which is no `torch.nn.Module`"
        raise BackboneError(Problem("SPC308", text, source.where, "makes no network"))
    if why := unreadable(found) or of_other_numbers(found):
        text = f"{source.name} gives a module that cannot be taken: {why}"
        raise BackboneError(Problem("SPC308", text, source.where, "makes no such network"))
    return found


def _maker(source: Source, path: str, name: str) -> Any:
    """The function or class of that name."""
    module = _imported(source, path)
    maker = getattr(module, name, None)
    if maker is None:
        help = did_you_mean(name, [key for key, value in vars(module).items() if _makes(value)])
        raise BackboneError(Problem("SPC307", f"{path} has no `{name}`", source.where, "not there", help))
    if not _makes(maker):
        text = f"`{name}` of {path} is a `{type(maker).__name__}`, and no function or class that makes a network"
        help = (f"`def make_net(): return {name}` in it makes one",) if isinstance(maker, nn.Module) else ()
        raise BackboneError(Problem("SPC308", text, source.where, "makes no network", help))
    return maker


def _makes(value: Any) -> bool:
    """Whether it is something that may make a network; a network itself gives tensors."""
    return callable(value) and not isinstance(value, nn.Module)


def _asked(maker: Any) -> frozenset[str]:
    """The names of what it asks for; none where it hides them."""
    try:
        return frozenset(inspect.signature(maker).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _imported(source: Source, path: str) -> ModuleType:
    """The file as a module; what lies beside it can be imported by it."""
    own_file(source, path)
    try:
        return module_of(path, source.digest)
    except CodeError as error:
        raise BackboneError(Problem("SPC308", str(error), source.where, "cannot be imported")) from error
