"""Diagnostics as text: for people, for grep, for programs, for GitHub and for code-scanning tools."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from specc.diagnostics import Diagnostic, Severity, Span
from specc.diagnostics.human import Human
from specc.diagnostics.sarif import sarif
from specc.diagnostics.words import printable

FORMAT_VERSION = 1


def render(
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str],
    format: str = "human",
    color: bool = False,
    width: int | None = None,
    encoding: str = "utf-8",
) -> str:
    """The diagnostics in one of `FORMATS`; `sources` maps a file's name to its text.

    Colour, the width of a terminal and characters that it lacks are for people only.
    """
    if format == "human":
        return Human(sources, color=color, width=width, encoding=encoding).report(diagnostics)
    if line := _LINES.get(format):
        return "\n".join(map(line, diagnostics))
    document = to_json(diagnostics) if format == "json" else sarif(diagnostics, sources)
    return json.dumps(document, indent=2, allow_nan=False)


# -- for programs ------------------------------------------------------------------------------------------------


def _concise(diagnostic: Diagnostic) -> str:
    return printable(str(diagnostic))


def to_json(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """The document of `--format json`: the fields of `Diagnostic` as they are, and the counts."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    return {
        "format_version": FORMAT_VERSION,
        **{f"{severity}s": counts[severity] for severity in Severity},
        "diagnostics": [asdict(diagnostic) for diagnostic in diagnostics],
    }


def _github(diagnostic: Diagnostic) -> str:
    """A workflow command."""
    properties = {**_github_position(diagnostic.span), "title": diagnostic.code}
    written = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
    text = "\n".join(filter(None, [diagnostic.message, diagnostic.label, *diagnostic.help]))
    command = "notice" if diagnostic.severity is Severity.NOTE else diagnostic.severity
    return f"::{command} {written}::{_escape(text)}"


def _github_position(span: Span | None) -> dict[str, str]:
    if span is None:
        return {}
    position = {"file": span.file, "line": str(span.line), "endLine": str(span.end_line)}
    if span.line == span.end_line:  # GitHub takes columns within one line only, and its end is inclusive
        position |= {"col": str(span.column), "endColumn": str(max(span.end_column - 1, span.column))}
    return position


def _escape(text: str) -> str:
    """The text as GitHub reads it; what it shows must not drive the terminal of a log either."""
    lines = text.replace("%", "%25").replace("\r\n", "\n").split("\n")
    return "%0A".join(map(printable, lines))


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


_LINES: dict[str, Callable[[Diagnostic], str]] = {"concise": _concise, "github": _github}
FORMATS = ("human", *_LINES, "json", "sarif")
