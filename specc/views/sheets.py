"""One table in the words of whoever takes it: a terminal, a page of Markdown, a paper, a program that reads CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from . import table

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "–": "--", "…": r"\ldots{}", "→": r"$\to$", "\n": " ", "\r": " ",
})  # fmt: skip
_MARKDOWN = str.maketrans({"|": r"\|", "\\": r"\\", "`": r"\`", "*": r"\*", "_": r"\_", "<": "&lt;", "&": "&amp;",
                           "[": r"\[", "\n": " ", "\r": " "})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns of text, then columns of figures, all as people read them."""

    left: Sequence[str]
    right: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str | None = None

    @property
    def heads(self) -> list[str]:
        """What stands above the columns."""
        return [*self.left, *self.right]

    def on_terminal(self) -> Table:
        """As all tables of the command line are."""
        return table(self.title, self.left, self.right, self.rows)


def as_markdown(sheet: Sheet) -> str:
    """A table of GitHub's Markdown.

    >>> print(as_markdown(Sheet(["spec"], ["error"], [["a|b", "1.2"]])))
    | spec | error |
    | :-- | --: |
    | a\\|b | 1.2 |
    """
    rule = [*(":--" for _ in sheet.left), *("--:" for _ in sheet.right)]
    rows = [_escaped(sheet.heads, _MARKDOWN), rule, *(_escaped(row, _MARKDOWN) for row in sheet.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_latex(sheet: Sheet) -> str:
    """A `tabular` with the rules of booktabs, for any engine and without further packages.

    >>> print(as_latex(Sheet(["spec"], ["error, %"], [["a_b", "1.2 ± 0.1"]])))
    % needs \\usepackage{booktabs}
    \\begin{tabular}{lr}
      \\toprule
      spec & error, \\% \\\\
      \\midrule
      a\\_b & 1.2 $\\pm$ 0.1 \\\\
      \\bottomrule
    \\end{tabular}
    """
    return "\n".join(_latex(sheet))


def _latex(sheet: Sheet) -> Iterator[str]:
    yield r"% needs \usepackage{booktabs}"
    yield rf"\begin{{tabular}}{{{'l' * len(sheet.left)}{'r' * len(sheet.right)}}}"
    yield r"  \toprule"
    yield _latex_row(sheet.heads)
    yield r"  \midrule"
    yield from map(_latex_row, sheet.rows)
    yield r"  \bottomrule"
    yield r"\end{tabular}"


def _latex_row(cells: Iterable[str]) -> str:
    row = " & ".join(_escaped(cells, _LATEX))
    return "  " + ("{}" if row.startswith("[") else "") + row + r" \\"  # a bracket would be taken for a length of \\


def _escaped(cells: Iterable[str], table: Mapping[int, str]) -> list[str]:
    return [cell.translate(table) for cell in cells]


def as_csv(documents: Sequence[Mapping[str, Any]]) -> str:
    """A line a document, with its values as they are; of a list, or of a mapping's values, all in one cell.

    >>> print(as_csv([{"a": 1, "b": [0.5, 0.25]}, {"a": "x,y", "c": None}]))
    a,b,c
    1,0.5 0.25,
    "x,y",,
    """
    names = list(dict.fromkeys(name for document in documents for name in document))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(document.get(name)) for name in names] for document in documents)
    return out.getvalue().rstrip("\n")


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return " ".join(str(each) for each in value)
    return value


TEXTS: Mapping[str, Callable[[Sheet, Sequence[Mapping[str, Any]]], str]] = {
    "csv": lambda sheet, documents: as_csv(documents),
    "markdown": lambda sheet, documents: as_markdown(sheet),
    "latex": lambda sheet, documents: as_latex(sheet),
}
