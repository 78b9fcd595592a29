"""Functions of the user's own files, as a spec names them."""

from __future__ import annotations

from .schema import problem


def of_a_file(value: str) -> str:
    """`nets.py:make_net`, as it is; anything else is refused."""
    file, _, name = value.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier():
        raise problem("SPC109", f"`{value[:60]}` names no function of a file", label="of another form",
                      help="a file and a function or class in it: `nets.py:make_net`")  # fmt: skip
    return value
