"""What the page shows of each part: a table of its rows, and a sentence or two on all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from specc.language.schema import show_bytes

from .documents import Document

Row = dict[str, Any]
Cell = Callable[[Row], str]
NOTHING = "–"


def size(key: str) -> Cell:
    """Bytes."""
    return lambda row: show_bytes(row[key]) if row.get(key) else NOTHING


def more(key: str, than: str, form: str = "+.2%") -> Cell:
    """How much larger one figure is than another one."""
    return lambda row: f"{row[key] / row[than] - 1:{form}}" if row.get(key) and row.get(than) else NOTHING


def number(key: str, form: str = "") -> Cell:
    return lambda row: format(row[key], form) if row.get(key) is not None else NOTHING


def milliseconds(key: str) -> Cell:
    return lambda row: f"{1000 * row[key]:.3g}" if row.get(key) else NOTHING


def name(row: Row) -> str:
    return str(row["name"])


def changes(row: Row) -> str:
    """In the numbers of end-to-end training."""
    return ", ".join(row.get("changes", [])) or "nothing"


TABLES: dict[str, dict[str, Cell]] = {
    "golden": {
        "trace": name, "figures": number("compared"), "different": number("different"),
        "worst, in tolerances": number("worst", ".1g"),
    },
    "calibration": {
        "plan": name, "predicted": size("predicted_bytes"), "requested": size("requested_bytes"),
        "allocated": size("allocated_bytes"), "more": more("allocated_bytes", "predicted_bytes"),
    },
    "cuda": {"test": name, "result": number("result"), "seconds": number("seconds", ".1f")},
    "steps": {
        "network": name, "specc, ms": milliseconds("specc_seconds"), "loop, ms": milliseconds("loop_seconds"),
        "ratio": number("ratio", ".3f"),
    },
    "rivals": {
        "network and configuration": name, "predicted": size("predicted_bytes"), "allocated": size("allocated_bytes"),
        "of allocated": more("predicted_bytes", "allocated_bytes"), "predicted, ms": milliseconds("predicted_seconds"),
        "step, ms": milliseconds("measured_seconds"), "off": more("predicted_seconds", "measured_seconds", "+.0%"),
        "fits": lambda row: "yes" if row.get("fits") else "no", "what changes": changes,
    },
    "compiled": {
        "network and mode": name, "step, ms": milliseconds("measured_seconds"), "ratio": number("ratio", ".3f"),
        "predicted": size("predicted_bytes"), "allocated": size("allocated_bytes"),
        "first steps, s": number("warm_seconds", ".0f"), "said": lambda row: "; ".join(row.get("notes", [])) or NOTHING,
    },
    "offload": {
        "network, and what is on the host": name, "predicted": size("predicted_bytes"),
        "allocated": size("allocated_bytes"), "reserved": size("reserved_bytes"),
        "of allocated": more("predicted_bytes", "allocated_bytes"), "step, ms": milliseconds("measured_seconds"),
        "ratio": number("ratio", ".3f"), "data sheet": more("sheet_seconds", "measured_seconds", "+.0%"),
    },
    "memory": {
        "spec": name, "predicted": size("predicted_bytes"), "requested": size("requested_bytes"),
        "allocated": size("allocated_bytes"), "reserved": size("reserved_bytes"),
        "of requested": more("predicted_bytes", "requested_bytes"),
        "of allocated": more("predicted_bytes", "allocated_bytes"), "of the device": size("device_bytes"),
        "predicted of it": more("predicted_device_bytes", "device_bytes", "+.0%"),
        "step, ms": milliseconds("measured_seconds"),
        "calibrated": more("calibrated_seconds", "measured_seconds", "+.0%"),
        "data sheet": more("sheet_seconds", "measured_seconds", "+.0%"),
    },
}  # fmt: skip


def of_memory(document: Document) -> Iterator[str]:
    """How far predictions were off: of peaks, then of times."""
    pairs = both(document["rows"], "predicted_bytes", "allocated_bytes")
    if pairs:
        off = sorted(abs(predicted / measured - 1) for predicted, measured in pairs)
        under = sum(predicted < measured for predicted, measured in pairs)
        yield (
            f"Predictions against what was allocated, on {len(pairs)} specs: {statistics.median(off):.2%} off in the "
            f"median, {off[-1]:.2%} at most; {under} under-estimated."
        )
        yield ""
    for key, how in (("calibrated_seconds", "calibrated here"), ("sheet_seconds", "from the data sheet")):
        yield from of_times(document["rows"], key, how)


def of_times(rows: Sequence[Row], key: str, how: str) -> Iterator[str]:
    """How far predicted step times were off."""
    pairs = both(rows, key, "measured_seconds")
    if len(pairs) > 1:
        off = sorted(abs(predicted / measured - 1) for predicted, measured in pairs)
        yield (
            f"Step times {how}, on {len(pairs)} specs: {statistics.median(off):.0%} off in the median, "
            f"{off[-1]:.0%} at most; rank correlation {rank_correlation(pairs):.3f}."
        )
        yield ""


def both(rows: Sequence[Row], one: str, other: str) -> list[tuple[float, float]]:
    """Two figures of the rows that have both."""
    return [(row[one], row[other]) for row in rows if row.get(one) and row.get(other)]


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's.

    >>> rank_correlation([(1.0, 10.0), (2.0, 11.0), (3.0, 50.0)]), rank_correlation([(1.0, 2.0), (2.0, 1.0)])
    (1.0, -1.0)
    """
    one, other = map(ranks, zip(*pairs, strict=True))
    return statistics.correlation(one, other) if len(set(one)) > 1 < len(set(other)) else 0.0


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each among all; equals share theirs.

    >>> ranks([5.0, 1.0, 5.0])
    [1.5, 0.0, 1.5]
    """
    return [sum(other < value for other in values) + (values.count(value) - 1) / 2 for value in values]


def of_rivals(document: Document) -> Iterator[str]:
    """The verdict on each network, and how far predicted step times were off."""
    for network, said in document["facts"].items():
        yield f"- {network} in {show_bytes(said['budget_bytes'])}: {said['verdict']}"
    yield ""
    yield from of_times(document["rows"], "predicted_seconds", "predicted")


def of_calibration(document: Document) -> Iterator[str]:
    """The margin."""
    said = document["facts"].get("margin")
    if said:
        yield f"The margin: {show_bytes(said['fixed_bytes'])} and {said['relative']:.1%} of the prediction."
        yield ""


def of_offload(document: Document) -> Iterator[str]:
    """What moves take here, and the host's steps."""
    said = document["facts"]
    if "from_the_host" in said:
        come, go, made = (said[key] / 1e9 for key in ("from_the_host", "to_the_host", "of_the_host"))
        yield (
            f"Pinned memory comes to the GPU at {come:.3g} GB/s and leaves it at {go:.3g} GB/s; AdamW makes steps on "
            f"the host at {made:.3g} GB/s of what it reads and writes."
        )
        yield ""


SUMMARIES: dict[str, Callable[[Document], Iterator[str]]] = {
    "memory": of_memory,
    "rivals": of_rivals,
    "calibration": of_calibration,
    "offload": of_offload,
}
