"""A report as one HTML page: everything that is put into it is escaped, and nothing is asked for from elsewhere."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from ..pictures.drawing import css, to_inline
from .comparing import beside, differences
from .parts import Code, Page
from .sections import Case, sections
from .subject import Subject

_CODE = re.compile(r"`([^`]+)`")


def page_of(subjects: Sequence[Subject]) -> Page:
    """What there is to say of one run, or of several."""
    cases = [Case.of(each, number if len(subjects) > 1 else 0) for number, each in enumerate(subjects, 1)]
    title = ", ".join(each.label for each in subjects)
    said = tuple(_about(each) for each in subjects) if len(subjects) == 1 else (f"{len(subjects)} runs side by side",)
    remarks = tuple((each.label, each.remarks) for each in subjects if each.remarks)
    return Page(
        title, said, tuple((case.subject.label, case.answers) for case in cases), differences(subjects),
        beside(subjects), tuple(sections(cases)), remarks,
    )  # fmt: skip


def _about(subject: Subject) -> str:
    """What was trained, in a line."""
    plan, said = subject.plan, subject.record.said
    where = said.hardware.gpu or said.device
    if plan is None:
        return str(subject.record.path)
    data, units = plan.config.data.dataset, f"{len(plan.blocks)} blocks, {len(plan.units)} units"
    parts = (plan.config.task.replace("_", " "), str(data), units, where, str(subject.record.path))
    return " · ".join(part for part in parts if part)


def html(page: Page) -> str:
    """The page."""
    with in_any_script():
        return _environment().get_template("report.html").render(page=page, colours=_markup(css()))


@contextmanager
def in_any_script() -> Iterator[None]:
    """Let nobody be warned of letters that are not measured exactly: what a browser shows has fonts for them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


@cache
def _environment() -> Environment:
    """Jinja escapes whatever is put into a page: names of specs and classes, paths, whatever a damaged file says."""
    found = Environment(
        loader=PackageLoader("specc.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    found.filters["inline"] = lambda picture: _markup(to_inline(picture))
    found.filters["ticks"], found.filters["code"] = _ticks, _code
    return found


def _markup(text: str) -> Markup:
    """Text that is HTML already: made here, of nothing that was not escaped."""
    return Markup(text)


def _ticks(text: str) -> Markup:
    """A sentence in which what stands between backticks is code."""
    parts = _CODE.split(text)
    return _markup("").join(
        _markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def _code(code: Code) -> Markup:
    """A text in the colours of its language."""
    return _markup(highlight(code.text, get_lexer_by_name(code.language), HtmlFormatter(nowrap=True)))
