"""SARIF 2.1.0, which code-scanning tools read: every rule with its page, every result with the text that it is about.

Held to what Microsoft's validator and GitHub ask for (docs/installing.md). What was given on the command line is in no
file; it is a logical location, as tools would look for a file of any name that stands as a physical one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from specc import about
from specc.diagnostics import Diagnostic, Span, pages
from specc.diagnostics.values import shorten

Document = dict[str, Any]

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "speccDiagnostic/v1"
ROOT = "%SRCROOT%"  # what the tools call the folder of the checkout
_AROUND = 2  # lines of context before and after
_LONGEST = 20  # lines that are quoted: a file that is no spec at all may be anything
_MOST = 2_000  # characters of them
_PHASES = {"0": "yaml", "1": "schema", "2": "names", "3": "shapes", "4": "local-learning", "5": "memory", "6": "data"}
_BREAK = re.compile(r"\r\n|\r|\n")  # where YAML 1.2 breaks lines


def sarif(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str]) -> Document:
    """The document; `sources` maps a file's name to its text."""
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    seen: Counter[str] = Counter()
    lines = {name: _BREAK.split(text) for name, text in sources.items()}
    run = {
        "tool": {"driver": {**_driver(), "rules": [_rule(code) for code in codes]}},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"description": {"text": "The folder that specc was called in."}}},
        "results": [_result(each, codes.index(each.code), lines, seen) for each in diagnostics],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _driver() -> Document:
    return {
        "name": about.NAME,
        "fullName": f"{about.NAME} {about.VERSION}",
        "version": about.VERSION,
        "semanticVersion": about.VERSION,
        "informationUri": about.HOME,
        "shortDescription": {"text": "A compiler for supervised local learning in PyTorch."},
    }


# ------------------------------------------------------------------------------------------------------------- rules


def _rule(code: str) -> Document:
    """What a code means: its page, whole and in parts. A page is there for every code that is given."""
    known = code in pages.titles()
    title = pages.titles()[code] if known else code
    what = _sections(pages.page(code)).get("What", title) if known else title
    markdown = pages.page(code).rstrip() if known else title
    return {
        "id": code,
        "name": _pascal(title),
        "shortDescription": {"text": _sentence(title)},
        "fullDescription": {"text": _sentence(what)},
        "help": {"text": f"{_sentence(what)} `specc explain {code}` prints the whole page.", "markdown": markdown},
        "helpUri": about.page("diagnostics", code.lower()),
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["specc", _PHASES.get(code[3:4], "specc")], "precision": "very-high"},
    }


def _sections(page: str) -> dict[str, str]:
    """The parts of a page by their headings, each as one line."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _pascal(title: str) -> str:
    """A title as one identifier, in which no two capitals stand side by side.

    >>> _pascal("top level is not a mapping"), _pascal("boolean of YAML 1.1")
    ('TopLevelIsNotMapping', 'BooleanOfYaml11')
    """
    words = re.findall(r"[A-Za-z0-9]+", title)
    return "".join(word.capitalize() for word in words if len(word) > 1 or word.isdigit())


def _sentence(text: str) -> str:
    """The text as a sentence.

    >>> _sentence("unknown key")
    'Unknown key.'
    """
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


# ----------------------------------------------------------------------------------------------------------- results


def _result(found: Diagnostic, rule: int, lines: Mapping[str, list[str]], seen: Counter[str]) -> Document:
    """One finding. Tools show the first sentence of its message alone where there is little room."""
    label = f"Here: {found.label}." if found.label else ""
    text = " ".join(filter(None, [_sentence(found.message), label, *map(_sentence, found.help)]))
    return {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": found.severity.value,
        "message": {"text": text},
        "locations": [_location(found.span, lines)] if found.span else [],
        "relatedLocations": [
            {"id": number, "message": {"text": _sentence(label.text)}, **_location(label.span, lines)}
            for number, label in enumerate(found.secondary, 1)
        ],
        "partialFingerprints": {FINGERPRINT: _fingerprint(found, lines, seen)},
    }


def _fingerprint(found: Diagnostic, lines: Mapping[str, list[str]], seen: Counter[str]) -> str:
    """The same for the same mistake, wherever the line has moved to; alike ones are numbered."""
    text = "".join(_lines(found.span, lines, 0)).strip() if found.span else ""
    name = _uri(found.span.file)[0] if found.span else ""
    told = hashlib.sha256("\0".join((found.code, name, found.message, text)).encode("utf-8", "replace")).hexdigest()
    seen[told] += 1
    return f"{told[:32]}:{seen[told]}"


def _location(span: Span, lines: Mapping[str, list[str]]) -> Document:
    """Where something stands: in a file, or on the command line."""
    if span.file.startswith("<"):
        text = "".join(_lines(span, lines, 0)) or span.file
        return {"logicalLocations": [{"name": shorten(text), "fullyQualifiedName": f"{span.file}:{span.line}"}]}
    uri, inside = _uri(span.file)
    region = {"startLine": span.line, "startColumn": span.column}
    region |= {"endLine": span.end_line, "endColumn": span.end_column}
    address = {"uri": uri, "uriBaseId": ROOT} if inside else {"uri": uri}
    return {"physicalLocation": {"artifactLocation": address, **_regions(region, span, lines)}}


def _regions(region: Document, span: Span, lines: Mapping[str, list[str]]) -> Document:
    """The place itself and the lines around it, with their texts where those are known."""
    covered, around = _lines(span, lines, 0), _lines(span, lines, _AROUND)
    if len(covered) <= span.end_line - span.line or len(covered) > _LONGEST:
        return {"region": region}
    covered[-1] = covered[-1][: span.end_column - 1]
    covered[0] = covered[0][span.column - 1 :]
    snippet, context = "\n".join(covered), "\n".join(around)
    if len(snippet) > _MOST:
        return {"region": region}
    region = region | {"snippet": {"text": snippet}}
    if not len(snippet) < len(context) <= _MOST:  # a context is more than what it is one of
        return {"region": region}
    first = max(1, span.line - _AROUND)
    wider = {"startLine": first, "endLine": first + len(around) - 1, "snippet": {"text": context}}
    return {"region": region, "contextRegion": wider}


def _lines(span: Span, lines: Mapping[str, list[str]], around: int) -> list[str]:
    """The lines of a span and so many around it; none where the text is not known."""
    return lines.get(span.file, [])[max(1, span.line - around) - 1 : span.end_line + around]


def _uri(name: str) -> tuple[str, bool]:
    """A file's address, and whether that begins at the current folder: as tools find files of a checkout."""
    absolute = os.path.abspath(name)
    try:
        inside = os.path.relpath(absolute)
    except (OSError, ValueError):  # the current folder is gone, or on another drive
        inside = os.pardir
    if inside.split(os.sep)[0] != os.pardir:
        return _quoted(inside), True
    path = _quoted(absolute)
    return f"file://{path if path.startswith('/') else f'/{path}'}", False


def _quoted(path: str) -> str:
    return quote(path.replace(os.sep, "/"), errors="replace")
