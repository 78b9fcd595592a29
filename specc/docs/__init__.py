"""The generated part of the documentation: `python -m specc.docs` writes it, `--check` says whether it is current."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent  # of the repository: the documentation is not part of the package


def _schema() -> str:
    from specc.spec.json_schema import json_schema

    return json.dumps(json_schema(), indent=2, allow_nan=False) + "\n"


def _reference() -> str:
    from specc.docs.reference import reference

    return reference()


def _errors() -> str:
    from specc.docs.gallery import gallery

    return gallery(ROOT / "specs" / "quickstart.yaml")


def _diagnostics() -> str:
    from specc.docs.formats import formats

    return formats()


PAGES: Mapping[str, Callable[[], str]] = {
    "spec.schema.json": _schema,
    "spec-reference.md": _reference,
    "errors.md": _errors,
    "diagnostics.md": _diagnostics,
}


def is_checkout(root: Path = ROOT) -> bool:
    """Whether there is something to document here: an installed package has neither pages nor specs beside it."""
    return (root / "docs").is_dir() and (root / "specs" / "quickstart.yaml").is_file()


def stale(folder: Path) -> list[str]:
    """The pages in `folder` that differ from what would be written now."""
    return [name for name, page in PAGES.items() if _read(folder / name) != page()]


def write(folder: Path) -> list[str]:
    """Write the pages that are not current, and say which."""
    names = stale(folder)
    for name in names:
        (folder / name).write_text(PAGES[name](), encoding="utf-8")
    return names


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
