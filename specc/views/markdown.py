"""Markdown on a terminal, calmly: headings to the left, code in colour without a ground, no boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.theme import Theme

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_WIDEST = 100  # columns; longer lines are hard to read
_THEME = Theme({
    "markdown.code": Style(color="cyan"), "markdown.item.bullet": Style(dim=True), "markdown.h1": Style(bold=True),
    "markdown.h2": Style(bold=True), "markdown.h3": Style(bold=True),
})  # fmt: skip


class _Heading(Heading):
    """A line of its own."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _CodeBlock(CodeBlock):
    """Indented, in the colours that the terminal has."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Padding(Syntax(code, self.lexer_name, theme="ansi_dark", word_wrap=True, background_color="default"),
                      (0, 0, 0, 2))  # fmt: skip


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _CodeBlock,
        "code_block": _CodeBlock,
    }


class Page:
    """A page in Markdown."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """No wider than is read with ease."""
        with console.use_theme(_THEME):
            lines = console.render_lines(
                _Markdown(self.text), options.update(width=min(options.max_width, 100)), pad=False
            )
        for line in lines:
            yield from Segment.simplify(_without_end(line))
            yield Segment.line()


def _without_end(line: list[Segment]) -> list[Segment]:
    """A line without the blanks at its end."""
    kept = list(line)
    while kept and not kept[-1].text.rstrip():
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(), kept[-1].style, kept[-1].control)
    return kept
