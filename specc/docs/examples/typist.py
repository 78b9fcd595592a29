"""Who types a page's commands: `specc` in this process, on a terminal without colours; all else in a shell."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...cli import main

WIDTH = 96
WAITING = re.compile(r"[a-z].* \.\.\.")  # what takes a while: on a terminal such a line goes away again
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\]8;[^\x1b\x07]*(?:\x1b\\|\x07))")


class Screen(io.StringIO):
    """A terminal's text."""

    def isatty(self) -> bool:
        """Tables fit its width, as on the reader's."""
        return True


def typist(cache: Path) -> Typist:
    """One for all pages."""
    return Typist({
        "COLUMNS": str(WIDTH), "LINES": "50", "TERM": "xterm", "NO_COLOR": "1", "CUDA_VISIBLE_DEVICES": "",
        "SPECC_CACHE": str(cache), "SPECC_PLUGINS": "none", "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    })  # fmt: skip


class Typist:
    """Types command lines in the surroundings of its own."""

    def __init__(self, surroundings: Mapping[str, str]) -> None:
        self._surroundings = surroundings

    def __call__(self, line: str, folder: Path) -> tuple[int, str]:
        """The exit code of a command line, and what it wrote."""
        with _surrounded(self._surroundings), contextlib.chdir(folder):
            words = shlex.split(line)
            code, said = _shell(line) if words[0] != "specc" or re.search(r"[|>&;*]", line) else _specc(words[1:])
        return code, _as_read(said, folder)


def _specc(words: list[str]) -> tuple[int, str]:
    screen = Screen()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(_Log(screen)):
        try:
            code = main.main(words, prog_name="specc", standalone_mode=True)
        except SystemExit as end:
            code = end.code
    return int(code or 0), screen.getvalue()


class _Log(io.StringIO):
    """Messages appear between results, as they do on a screen, but as lines that stay."""

    def __init__(self, screen: io.StringIO) -> None:
        super().__init__()
        self._screen = screen

    def write(self, text: str) -> int:
        """Show it."""
        return self._screen.write(text)


def _shell(line: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout


def _as_read(said: str, folder: Path) -> str:
    """Without what drives a terminal, ends of lines and names of this machine."""
    plain = ESCAPES.sub("", said).replace(f"{folder}{os.sep}", "").replace(str(folder), ".")
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in plain.splitlines()]
    return "".join(f"{line}\n" for line in lines if not WAITING.fullmatch(line))


@contextlib.contextmanager
def _surrounded(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
