"""What specc has to say: values with positions, codes, pages, and how they are shown; no knowledge of specs."""

from __future__ import annotations

from .values import NO_ALIASES, Diagnostic, Label, Severity, Span, SpecError, did_you_mean, shorten, sort, suggest

__all__ = [
    "NO_ALIASES", "Diagnostic", "Label", "Severity", "Span", "SpecError", "did_you_mean", "shorten", "sort", "suggest",
]  # fmt: skip
