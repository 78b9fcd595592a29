"""The scanner's complaints in the words of somebody who writes specs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from specc.diagnostics import Diagnostic, Label, Span
from specc.language.nodes import Locator

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError, StreamMark


@dataclass(frozen=True, slots=True)
class _Advice:
    """What to say where the parser's words contain `trigger`; `at_context` blames the start of what it was reading."""

    trigger: str
    message: str
    label: str
    help: str
    at_context: bool = False


_QUOTE = "put the value into quotes"
_INDENT = "keys of one mapping, and items of one list, start in the same column"
_ADVICE = (
    _Advice("scanning a quoted scalar", "this quote is never closed", "opened here", "close it on this line", True),
    _Advice("unknown escape", "unknown escape in a double-quoted string", "", "use single quotes, or write `\\\\`"),
    _Advice("escape sequence", "bad escape in a double-quoted string", "", "use single quotes, or write `\\\\`"),
    _Advice("mapping values are not", "unexpected `:`", "no key can stand here", f"{_QUOTE}, or check the indentation"),
    _Advice("could not find expected ':'", "this is not `key: value`", "no `:` follows", "write `key: value`", True),
    _Advice("sequence entries are not", "a list cannot start here", "", "start it on the next line, or write `[a, b]`"),
    _Advice("mapping keys are not allowed", "a key cannot start here", "", _INDENT),
    _Advice("that cannot start any token", "a value cannot start with this character", "", _QUOTE),
    _Advice("<block end>", "this does not belong to what stands before it", "unexpected here", _INDENT),
    _Advice("'<document start>'", "this does not belong to what stands before it", "less indented", _INDENT),
    _Advice("undefined tag handle", "unknown tag", "", "a spec is plain data: delete the tag"),
    _Advice("scanning an alias", "`*` starts an alias, and a name must follow", "", _QUOTE, True),
    _Advice("scanning an anchor", "`&` starts an anchor, and a name must follow", "", _QUOTE, True),
    _Advice("expected the node content", "a value is missing", "found this instead", "write the value, or `null`"),
    _Advice("block scalar", "bad block string", "", "put nothing but a comment after `|` or `>`, and indent evenly"),
    _Advice("YAML document", "unknown YAML version", "", "delete this line"),
    _Advice("directive", "bad `%` directive", "", "delete this line"),
)
_ANY = _Advice("", "this is not YAML", "", "see https://yaml.org for the syntax")

_TAB_INDENT = re.compile(r" *\t[\t ]*")


def syntax_error(error: MarkedYAMLError, locator: Locator) -> Diagnostic:
    """The diagnostic for text that the parser cannot read on from."""
    problem = _index(error.problem_mark, 0)
    context = _index(error.context_mark, problem)
    for attempt in (_tab, _unclosed):
        if found := attempt(error, locator, problem, context):
            return found
    said = f"{error.context} {error.problem}"
    advice = next(advice for advice in (*_ADVICE, _ANY) if advice.trigger in said)
    span = _token(locator, context if advice.at_context else problem)
    return Diagnostic("SPC006", advice.message, span, advice.label, help=(advice.help,))


def _tab(error: MarkedYAMLError, locator: Locator, problem: int, context: int) -> Diagnostic | None:
    """A tab in the indentation of the line that the parser stumbled over."""
    start = locator.start_of_line(problem)
    match = _TAB_INDENT.match(locator.text, start)
    if not match or (problem > match.end() and "\\t" not in str(error.problem)):
        return None
    span, help = locator.span(*match.span()), ("replace each tab by spaces",)
    return Diagnostic("SPC007", "tab in the indentation", span, "YAML indents with spaces only", help=help)


def _unclosed(error: MarkedYAMLError, locator: Locator, problem: int, context: int) -> Diagnostic | None:
    """A `[` or `{` that is still open where the next line begins something else."""
    if "parsing a flow" not in str(error.context) or context == problem:
        return None
    bracket = locator.text[context : context + 1]
    opened, found = locator.span(context, context + 1), _token(locator, problem)
    if opened.line == found.line and problem < len(locator.text.rstrip()):
        label = (Label(opened, "in what opens here"),)
        return Diagnostic("SPC006", "expected `,` or the closing bracket", found, "found this", secondary=label)
    closing = {"[": "]", "{": "}"}.get(bracket, "bracket")
    still, help = (Label(found, "still open here"),), (f"add the missing `{closing}`",)
    return Diagnostic("SPC006", f"this `{bracket}` is never closed", opened, "opened here", secondary=still, help=help)


def _token(locator: Locator, index: int) -> Span:
    """The span of the word or the single character at `index`."""
    match = re.compile(r"\w+|\S?").match(locator.text, index)
    return locator.span(index, match.end() if match else index)


def _index(mark: StreamMark | None, default: int) -> int:
    return default if mark is None else int(mark.index)
