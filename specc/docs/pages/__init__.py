"""What is written by hand of the generated pages, with marks where the rest goes; no figure and no list of names."""

from __future__ import annotations

from importlib.resources import files


def filled(page: str, **parts: str) -> str:
    """A page with what is generated in the place of every mark, like `<!-- knobs -->`."""
    text = files(__package__).joinpath(page).read_text(encoding="utf-8")
    for name, part in parts.items():
        if (mark := f"<!-- {name} -->") not in text:
            raise LookupError(f"{page} has no place for `{name}`")
        text = text.replace(mark, part.rstrip("\n"))
    return text
