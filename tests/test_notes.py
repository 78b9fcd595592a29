"""A note says what was decided where the spec left it open: it is shown and counted, and stops nothing."""

from __future__ import annotations

import json

from specc.diagnostics import Diagnostic, Severity, Span
from specc.diagnostics.render import render

NOTE = Diagnostic("SPC400", "copies `conv`", Span("a.yaml", 1, 1, 1, 4), severity=Severity.NOTE)
WARNING = Diagnostic("SPC400", "zero weight", severity=Severity.WARNING)


def test_a_note_is_no_error() -> None:
    assert not NOTE.is_error


def test_notes_are_counted_apart_from_warnings() -> None:
    assert render([NOTE, WARNING, NOTE], {"a.yaml": "abc\n"}).splitlines()[-1] == "1 warning, 2 notes"
    document = json.loads(render([NOTE, WARNING, NOTE], {}, "json"))
    assert (document["errors"], document["warnings"], document["notes"]) == (0, 1, 2)


def test_programs_get_the_word_that_they_know() -> None:
    assert render([NOTE], {}, "github").startswith("::notice file=a.yaml")
    assert json.loads(render([NOTE], {}, "sarif"))["runs"][0]["results"][0]["level"] == "note"
