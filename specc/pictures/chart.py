"""The timeline of a step in a terminal: as wide as that is, and readable without colours and without Unicode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from rich.text import Text

from ..diagnostics.words import shortened
from ..language.schema import show_bytes
from ..memory.recording import Instant
from ..views.timeline import Timeline
from .palette import CATEGORIES
from .placing import byte_ticks

ROWS = 14
EIGHTHS = " ▁▂▃▄▅▆▇█"
DOT, RULE = "·", "─"
STYLES = {  # the terminal's own colours, which its owner can read
    "activations": "blue", "gradients of activations": "yellow", "gradients": "magenta", "inputs": "green",
    "EMA copies": "cyan", "weight average": "cyan",
}  # fmt: skip
OTHER, ASIDE, LIMIT = "bright_black", "bright_black", "red"


def chart(found: Timeline, beside: Timeline | None, width: int) -> Text:
    """The most that is alive, op by op; end-to-end training dotted over it; what the peak is made of below."""
    most = max(t.highest.bytes for t in (found, beside) if t)
    limit = found.budget if found.budget and found.budget <= 1.5 * most else None
    top = max(most, limit or 0) * 1.02
    ticks = byte_ticks(top)
    margin = max(len(text) for _, text in ticks) + 1
    columns = max(width - margin - 1, 10)
    longest = max(len(t.instants) for t in (found, beside) if t)
    own, other = (list(_columns(t, columns, longest)) if t else [] for t in (found, beside))
    lines = [_row(row, top, margin, dict(ticks), own, other, limit, columns) for row in range(ROWS)]
    lines.append(Text(" " * margin + _blocks(found, columns, longest), style=ASIDE))
    return Text("\n").join([*lines, *_legend(found, beside, limit, width)])


def _columns(found: Timeline, columns: int, longest: int) -> Iterator[Instant]:
    """Of the ops of every column the one where most is alive."""
    instants = found.instants
    for column in range(columns):
        first = column * longest // columns
        if first >= len(instants):
            return
        last = max((column + 1) * longest // columns, first + 1)
        yield max(instants[first:last], key=lambda instant: instant.bytes)


def _row(row: int, top: float, margin: int, ticks: dict[int, str], own: Sequence[Instant], other: Sequence[Instant],
         limit: int | None, columns: int) -> Text:  # fmt: skip
    high = top / ROWS
    low = (ROWS - 1 - row) * high
    label = next((text for at, text in ticks.items() if low <= at < low + high), "")
    cells: list[tuple[str, str]] = []
    for column in range(columns):
        eighths = round(8 * min(max((own[column].bytes - low) / high, 0), 1)) if column < len(own) else 0
        if column < len(other) and low <= other[column].bytes < low + high:
            cells.append((DOT, ""))
        elif eighths:
            cells.append((EIGHTHS[eighths], STYLES.get(_part(own[column], low + high / 2), OTHER)))
        elif limit and low <= limit < low + high:
            cells.append((RULE, LIMIT))
        else:
            cells.append((" ", ""))
    line = Text.assemble((f"{label:>{margin - 1}} ", ASIDE))
    for style, own_cells in groupby(cells, key=itemgetter(1)):
        line.append("".join(cell for cell, _ in own_cells), style)
    line.rstrip()
    return line


def _part(instant: Instant, height: float) -> str:
    """The category that lies at a height."""
    known = [name for name in CATEGORIES if name in instant.categories]
    names = [name for name in instant.categories if name not in CATEGORIES] + known
    for name in names:
        height -= instant.categories[name]
        if height < 0:
            return name
    return names[-1]


def _blocks(found: Timeline, columns: int, longest: int) -> str:
    """The numbers of the blocks below what is done for them, as many as there is room for."""
    line = ""
    for span in found.spans:
        middle = (span.first + span.last + 1) * columns // (2 * longest) - len(span.label) // 2
        room = span.label.isdigit() or (span.last - span.first + 1) * columns // longest > len(span.label)
        if room and (middle > len(line) or not line):
            line = f"{line:<{max(middle, 0)}}{span.label}"
    return line[:columns]


def _legend(found: Timeline, beside: Timeline | None, limit: int | None, width: int) -> Iterator[Text]:
    """What there is to read, in lines that are no longer than the terminal."""
    yield Text(
        shortened(f"peak {show_bytes(found.highest.bytes)} in {found.instruction(found.peak)}", width, "..."), "bold"
    )
    parts = sorted(found.highest.categories.items(), key=lambda item: -item[1])
    line = Text()
    for name, size in parts:
        if size < 0.005 * found.highest.bytes:
            continue
        part = Text.assemble(("█ ", STYLES.get(name, OTHER)), f"{name} {show_bytes(size)}")
        if line and len(line) + 2 + len(part) > width:
            yield line
            line = Text()
        line.append("  " if line else "").append(part)
    yield line
    if beside is not None:
        ratio = beside.highest.bytes / found.highest.bytes
        words = f" end-to-end training {show_bytes(beside.highest.bytes)}, {ratio:.2g} times the memory"
        yield Text(DOT + shortened(words, width - 1, "..."))
    if found.budget is not None:
        words = f" budget {show_bytes(found.budget)}" + ("" if limit else ", above this chart")
        yield Text.assemble((RULE, LIMIT), words)
