"""Where `data.root` is: as seen from the file that says it, whichever folder specc is called in."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..language.source import CLI
from ..system.environment import expand_path
from .load import Spec

ROOT = ("data", "root")


def data_root(spec: Spec) -> str:
    """The folder of the data: relative to the spec, or to the parent where the spec inherits it.

    What the command line and the environment say is as seen from the current folder, as everywhere in a shell.
    """
    file = spec.span(*ROOT).file if ROOT in spec.tree.values else spec.tree.name
    return expand_path(spec.config.data.root, "" if file == CLI else os.path.dirname(file))


def elsewhere(spec: Spec) -> Iterator[str]:
    """Help where the folder is not beside the spec, but in the folder that specc is called in."""
    meant, here = data_root(spec), expand_path(spec.config.data.root)
    if not os.path.isdir(meant) and os.path.isdir(here):
        yield f"`root` is relative to the file that it is written in, so {os.path.abspath(meant)} was looked for"
        yield f"for the one in the current folder: specc run SPEC data.root={here}"
