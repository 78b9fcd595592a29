"""docs/gpu.md, made of the parts' files: nothing on it that is not in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from specc.language.schema import show_bytes

from . import documents
from .documents import DONE, MACHINE, Document
from .parts import PARTS, Part
from .tables import SUMMARIES, TABLES, Cell, Row

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "gpu"
HEAD = """# Measured on a GPU

`make gpu` measures all of this on one GPU in at most 25 minutes, without a network. Each part leaves a file in
`docs/gpu/`, and `python -m benchmarks.gpu page` makes this page of them.
"""
NONE = """
**None was measured yet**: no file is there. Where pydantic and ruamel.yaml are missing, `make gpu WHEELS=FOLDER` takes
them from a folder of wheels, without touching the machine's Python; `OUT=FOLDER` writes the files elsewhere,
`MINUTES=9` takes less time, and a second `make gpu` goes on with what is missing.
"""


def write(folder: Path) -> Path:
    """The page of the files in `docs/gpu`, or beside those of another folder."""
    target = FIGURES.with_suffix(".md") if folder.resolve() == FIGURES else folder / "gpu.md"
    target.write_text(text(folder), encoding="utf-8")
    return target


def text(folder: Path) -> str:
    """The page."""
    found = [(part, document) for part in PARTS if (document := documents.read(folder, part.name))]
    if not found:
        return HEAD + NONE
    there = {part.name for part, _ in found}
    missing = [part.title for part in PARTS if part.name not in there]
    lines = [HEAD, *machines([document for _, document in found])]
    if missing:
        lines += [f"Not measured yet: {', '.join(missing)}.", ""]
    for part, document in found:
        lines += section(part, document)
    return "\n".join(lines).rstrip() + "\n"


def introduction(machine: Document) -> str:
    """A machine in a line."""
    names = {"driver": "driver", "torch": "torch", "cuda": "CUDA", "cudnn": "cuDNN", "python": "Python"}
    size = [show_bytes(machine["bytes"])] if machine.get("bytes") else []
    return ", ".join(
        [machine["device"], *size, *(f"{name} {machine[k]}" for k, name in names.items() if machine.get(k))]
    )


def machines(found: Sequence[Document]) -> Iterator[str]:
    """Where it was measured: one line if that was one machine, else one a machine with its parts."""
    apart: dict[tuple[Any, ...], list[Document]] = {}
    for document in found:
        apart.setdefault(tuple(document["machine"].get(key) for key in MACHINE), []).append(document)
    for some in apart.values():
        names = "" if len(apart) == 1 else f" ({', '.join(document['part'] for document in some)})"
        stand_in = "Stand-ins on a CPU, which say nothing of a GPU: " if some[0]["machine"]["kind"] == "cpu" else ""
        yield f"{stand_in}{introduction(some[0]['machine'])}{names}."
    yield ""


def section(part: Part, document: Document) -> Iterator[str]:
    """A part: how it went, its figures, and what went wrong."""
    yield f"## {part.title}"
    yield ""
    if document["command"]:
        yield f"`{document['command']}`, {document['date'][:10]}, {document['seconds']:.0f} seconds."
        yield ""
    if document["status"] != DONE:
        yield f"**{document['status'].capitalize()}**: {plain(document['error'] or 'it was ended from outside')}"
        yield ""
    rows = [row for row in document["rows"] if not row.get("error")]
    if rows:
        yield from table(TABLES[part.name], rows)
        yield ""
    yield from SUMMARIES.get(part.name, lambda _: iter(()))(document)
    wrong = [row for row in document["rows"] if row.get("error")]
    for row in wrong:
        yield f"- {row['name']}: {plain(row['error'])}"
    if wrong:
        yield ""


def table(columns: dict[str, Cell], rows: Sequence[Row]) -> Iterator[str]:
    """Markdown; the first column is text, the others are figures."""
    yield f"| {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * (len(columns) - 1)}"
    for row in rows:
        yield f"| {' | '.join(plain(cell(row)) for cell in columns.values())} |"


def plain(said: str) -> str:
    """In one line of a table."""
    return " ".join(said.split()).replace("|", "/").replace("<", "&lt;")
