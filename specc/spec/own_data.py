"""What a spec's own code makes of data: where its file is, and what is known of it."""

from __future__ import annotations

import os

from ..language.source import CLI
from ..tasks.own.asking import facts_of
from ..tasks.own.facts import Facts, OwnDataError
from ..tasks.own.source import DataSource, source_of
from .load import Spec
from .models import SpecModel
from .roots import data_root

MODULE_AT = ("data", "module")


def folder_of(spec: Spec, *path: str | int) -> str:
    """The folder of the file that says something, from which it names other files; the current one of a shell's."""
    file = spec.span(*path).file if path in spec.tree.values else spec.tree.name
    return "" if file == CLI else os.path.dirname(file)


def placed(spec: Spec, config: SpecModel) -> SpecModel:
    """The configuration with the file of the data's code as seen from the file that names it, or from the shell."""
    data = config.data.placed(folder_of(spec, *MODULE_AT))
    return config if data is config.data else config.model_copy(update={"data": data})


def own_code(spec: Spec) -> tuple[str, ...]:
    """The key that names where such data come from."""
    return MODULE_AT if spec.config.data.module else ("data", "dataset")


def known_of(spec: Spec) -> Facts:
    """What own code says of its data, or what was handed over says. Raises `OwnDataError`."""
    data = spec.config.data
    if data.module is not None:
        return facts_of(named(data.module, data.args or {}, data_root(spec)))
    if spec.facts is None:
        help = ("`specc.compile(spec, data=...)` and `runtime.train(spec, data=...)` are given them",)
        raise OwnDataError("the data are handed over from Python, and nobody does", help)
    return spec.facts


def named(module: str, args: object, root: str) -> DataSource:
    """The function that a spec names, told of the folder of the data; `OwnDataError` where its file cannot be read."""
    try:
        return source_of(module, args, os.path.abspath(os.path.expanduser(root)))
    except OSError as error:
        file = module.rpartition(":")[0]
        what = error.strerror or str(error)
        help = ("the file is as seen from the spec that names it",)
        raise OwnDataError(f"`{file}` cannot be read: {what}", help) from None
