"""What specc is called, which version this is, and where its home is; nothing of what it does."""

from __future__ import annotations

NAME = "specc"
VERSION = "0.1.0"
# Where the documentation is published. No public home has been chosen yet, and `.example` is reserved (RFC 2606), so
# that no link leads to somebody else. Publishing specc changes this line and `project.urls` in pyproject.toml.
HOME = "https://specc.example"


def page(name: str, part: str = "") -> str:
    """The address of a page of the documentation.

    >>> page("diagnostics", "spc101")
    'https://specc.example/diagnostics.html#spc101'
    """
    return f"{HOME}/{name}.html" + (f"#{part}" if part else "")
