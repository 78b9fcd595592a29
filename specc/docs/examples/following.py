"""A page followed from its first block to its last, in an empty folder."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .alike import alike, is_computed
from .fences import Fence, fences

Typed = Callable[[str, Path], tuple[int, str]]  # a command line and a folder; its exit code, and what it said


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page: what is shown, and what came of it."""

    line: int
    command: str
    shown: str
    said: str
    code: int
    wanted: int

    @property
    def right(self) -> bool:
        """Whether it ended and said what the page says; what a page does not show it may say."""
        same = not self.shown.strip() or alike(self.shown, self.said, computed=is_computed(shlex.split(self.command)))
        return self.code == self.wanted and same

    def __str__(self) -> str:
        ending = "" if self.code == self.wanted else f" (exit code {self.code}, not {self.wanted})"
        return f"line {self.line}: $ {self.command}{ending}\n--- shown\n{self.shown}--- said\n{self.said}"


@dataclass(slots=True)
class Followed:
    """What came of a page: its commands, and the page with what they said in the place of what is no longer true."""

    steps: list[Step] = field(default_factory=list)
    text: str = ""

    @property
    def wrong(self) -> list[Step]:
        """The commands that do not do what the page says."""
        return [step for step in self.steps if not step.right]


def follow(text: str, folder: Path, typed: Typed, *, files: bool = True) -> Followed:
    """Do what a page says; without `files` only type its commands."""
    done, parts, at = Followed(), [], 0
    for fence in fences(text):
        body = fence.body
        if fence.skipped is None and fence.language == "console":
            body = "".join(_typed(fence, folder, typed, done.steps))
        elif fence.skipped is None and files:
            _done(fence, folder, done.steps)
        parts += [text[at : fence.start], "".join(_indented(body, fence.indent))]
        at = fence.end
    done.text = "".join([*parts, text[at:]])
    return done


def _typed(fence: Fence, folder: Path, typed: Typed, steps: list[Step]) -> Iterator[str]:
    """Type a block's commands; give the block as it should be."""
    commands = list(commands_of(fence.body))
    for number, (offset, written, shown) in enumerate(commands, 1):
        line = re.sub(r"\\\n(?:> )?", "", written)
        command = shlex.join(shlex.split(line, comments=True)) if not re.search(r"[|>&;*]", line) else line
        code, said = typed(command, folder)
        wanted = int(fence.notes.get("exit", 0)) if number == len(commands) else 0
        step = Step(fence.line + offset, command, shown, said, code, wanted)
        steps.append(step)
        yield f"$ {written}\n"
        yield shown if step.right else said


def commands_of(body: str) -> Iterator[tuple[int, str, str]]:
    """The commands of a block: the line, what is typed, and what is shown below.

    >>> list(commands_of("$ ls\\na\\n$ specc run x.yaml \\\\\\n    train.epochs=1\\n"))
    [(0, 'ls', 'a\\n'), (2, 'specc run x.yaml \\\\\\n    train.epochs=1', '')]
    """
    lines, at = body.splitlines(), 0
    while at < len(lines):
        begin = at
        if not lines[at].startswith("$ "):
            raise ValueError(f"what is shown belongs to no command: {lines[at]}")
        while lines[at].endswith("\\"):
            at += 1
        written = "\n".join(lines[begin : at + 1]).removeprefix("$ ")
        at += 1
        shown = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        yield begin, written, "".join(f"{line}\n" for line in lines[shown:at])


def _done(fence: Fence, folder: Path, steps: list[Step]) -> None:
    """Write a block that is a file; do what one says in Python."""
    if fence.title:
        path = folder / fence.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fence.body, encoding="utf-8")
    elif fence.language == "python":
        code, said = 0, ""
        with contextlib.chdir(folder), _beside(folder):
            try:
                exec(compile(fence.body, f"line {fence.line}", "exec"), {"__name__": "page"})
            except Exception as error:  # whatever it is, the page is wrong
                code, said = 1, f"{type(error).__name__}: {error}\n"
        steps.append(Step(fence.line, "python", "", said, code, 0))


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Python as a file in the folder runs: it imports what lies there, and a warning is no error."""
    sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path.remove(str(folder))
        for name in [
            n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(f"{folder}{os.sep}")
        ]:
            del sys.modules[name]


def _indented(body: str, indent: str) -> Iterator[str]:
    return (indent + line if line.strip() else line for line in body.splitlines(keepends=True))
