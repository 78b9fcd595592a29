"""One table in the words of whoever takes it: a terminal, a page of Markdown, a paper, a program that reads CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import Table

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "–": "--", "…": r"\ldots{}", "→": r"$\to$", "\n": " ", "\r": " ",
})  # fmt: skip
_MARKDOWN = str.maketrans({"|": r"\|", "\\": r"\\", "`": r"\`", "*": r"\*", "_": r"\_", "<": "&lt;", "&": "&amp;",
                           "[": r"\[", "\n": " ", "\r": " "})  # fmt: skip


def as_markdown(table: Table) -> str:
    """A table of GitHub's Markdown.

    >>> from . import table
    >>> print(as_markdown(table(None, ["spec"], ["error"], [["a|b", "1.2"]])))
    | spec | error |
    | :-- | --: |
    | a\\|b | 1.2 |
    """
    rule = ["--:" if column.right else ":--" for column in table.columns]
    rows = [_escaped(_heads(table), _MARKDOWN), rule, *(_escaped(row, _MARKDOWN) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_latex(table: Table) -> str:
    """A `tabular` with the rules of booktabs, for any engine and without further packages.

    >>> from . import table
    >>> print(as_latex(table(None, ["spec"], ["error, %"], [["a_b", "1.2 ± 0.1"]])))
    % needs \\usepackage{booktabs}
    \\begin{tabular}{lr}
      \\toprule
      spec & error, \\% \\\\
      \\midrule
      a\\_b & 1.2 $\\pm$ 0.1 \\\\
      \\bottomrule
    \\end{tabular}
    """
    return "\n".join(_latex(table))


def _latex(table: Table) -> Iterator[str]:
    yield r"% needs \usepackage{booktabs}"
    yield rf"\begin{{tabular}}{{{''.join('r' if column.right else 'l' for column in table.columns)}}}"
    yield r"  \toprule"
    yield _latex_row(_heads(table))
    yield r"  \midrule"
    yield from map(_latex_row, table.rows)
    yield r"  \bottomrule"
    yield r"\end{tabular}"


def _heads(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _latex_row(cells: Iterable[str]) -> str:
    row = " & ".join(_escaped(cells, _LATEX))
    return "  " + ("{}" if row.startswith("[") else "") + row + r" \\"  # a bracket would be taken for a length of \\


def _escaped(cells: Iterable[str], characters: Mapping[int, str]) -> list[str]:
    return [cell.translate(characters) for cell in cells]


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


TEXTS: Mapping[str, Callable[[Table, Sequence[Mapping[str, Any]]], str]] = {
    "csv": lambda table, documents: as_csv(documents),
    "markdown": lambda table, documents: as_markdown(table),
    "latex": lambda table, documents: as_latex(table),
}
