"""The fenced blocks of a page, with what a comment above says about each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# What a comment may say. Of a block: the exit code of its last command, or why it is not run. Of a YAML block: why it
# is no spec by itself, or which earlier spec it goes over. Of a page, above its first block: which test holds it.
NOTES = ("exit", "no-run", "fragment", "over", "held-by")
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)(?: +title=\"(?P<title>[^\"]+)\")? *\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
NOTE = re.compile(rf"<!-- ({'|'.join(NOTES)}): (.+?) -->", re.DOTALL)
ABOVE = re.compile(rf"(?:<!-- (?:{'|'.join(NOTES)}): [^>]+? -->\s*\n *)+\Z")


@dataclass(frozen=True, slots=True)
class Fence:
    """One block: its language, the file that it shows, its text, and where the text stands in the page."""

    language: str
    title: str | None
    body: str
    notes: Mapping[str, str]
    line: int
    start: int
    end: int
    indent: str = ""

    @property
    def skipped(self) -> str | None:
        """Why it is not run, where it is not."""
        return self.notes.get("no-run")


def fences(text: str) -> Iterator[Fence]:
    """The blocks of a page, in order.

    >>> page = '<!-- exit: 1 -->\\n```console\\n$ specc plan\\n```\\n'
    >>> [(f.language, f.body, dict(f.notes), f.line) for f in fences(page)]
    [('console', '$ specc plan\\n', {'exit': '1'}, 3)]
    """
    for found in FENCE.finditer(text):
        above = ABOVE.search(text[: found.start()])
        notes = {key: " ".join(said.split()) for key, said in NOTE.findall(above[0])} if above else {}
        indent, (start, end) = found["indent"], found.span("body")
        body = "".join(line.removeprefix(indent) for line in found["body"].splitlines(keepends=True))
        line = text.count("\n", 0, start) + 1
        yield Fence(found["language"], found["title"], body, notes, line, start, end, indent)


def page_notes(text: str) -> Mapping[str, str]:
    """What is said of the whole page, between its title and its first block."""
    head = text.partition("\n```")[0]
    return {key: " ".join(said.split()) for key, said in NOTE.findall(head) if key == "held-by"}
