"""What commands show on terminals of three widths is what is stored; `python -m tests.screens` stores it anew."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest
from rich.cells import cell_len

from . import commands
from .screens import FOLDER, ROOT, SCREENS, Screen


@pytest.mark.parametrize("screen", [pytest.param(each, id=each.name) for each in SCREENS])
def test_a_screen_is_as_stored(screen: Screen) -> None:
    text = screen.text()
    assert text == screen.path.read_text(encoding="utf-8"), "look at it: python -m tests.screens, then git diff"
    for part, width in zip(text.split("====\n\n")[1:], screen.widths, strict=True):
        lines = part.rpartition("\n====")[0].splitlines()
        assert [line for line in lines if cell_len(line) > width and "-->" not in line] == []


def test_no_screen_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {screen.name for screen in SCREENS}


def test_a_real_terminal_shows_the_same() -> None:
    """Its width is its own: nothing is said of it in the environment."""
    screen = next(each for each in SCREENS if each.name == "plan_of_2_blocks")
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    env = {k: v for k, v in commands.surroundings().items() if k not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(commands.command(*screen.words), cwd=ROOT, env=env | {"TERM": "xterm", "NO_COLOR": "1"},
                          stdout=terminal, stderr=subprocess.DEVNULL) as process:  # fmt: skip
        os.close(terminal)
        said = b""
        while chunk := _read(master):
            said += chunk
    os.close(master)
    assert process.returncode == 0
    assert said.decode().replace("\r\n", "\n") == screen.taken(80)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:  # the other end is closed
        return b""
