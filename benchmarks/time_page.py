"""Writes what benchmarks/time_model.py found into docs/time.md: from docs/results/time_model.json, between comments.

python benchmarks/time_page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
PAGE, RESULTS = DOCS / "time.md", DOCS / "results" / "time_model.json"
BEGIN, END = "<!-- time_model.json: begin -->\n", "<!-- time_model.json: end -->\n"


def found(document: dict[str, Any]) -> str:
    """The figures in words, and a table of all specs, the worst first."""
    threads = "one thread" if document["threads"] == 1 else f"{document['threads']} threads"
    rows = sorted(document["rows"], key=lambda row: -abs(row["error"]))
    table = "".join(
        f"| {row['name']} | {row['predicted'] * 1e3:.1f} ms | {row['measured'] * 1e3:.1f} ms | {row['error']:+.0%} |\n"
        for row in rows
    )
    return (
        f"On {threads} of `{document['profile']}` the {document['specs']} predictions are off by"
        f" {document['median_error']:.1%} in the median and {document['worst_error']:.1%} at worst; the rank"
        f" correlation (Spearman's) is {document['rank_correlation']:.3f}.\n\n"
        f"| spec | predicted | measured | off by |\n|---|--:|--:|--:|\n{table}"
    )


def renewed(page: str, document: dict[str, Any]) -> str:
    """The page with what the results say."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{found(document)}{END}{after}"


def main() -> None:
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")


if __name__ == "__main__":
    main()
