"""Whether a command said what a page shows: what is computed to the letter, what is measured by its form."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Commands whose output follows from the spec alone; of all others the figures differ from machine to machine.
COMPUTED = ("validate", "plan", "fit", "graph", "explain", "schema", "init", "compare", "completion")
NUMBER = re.compile(r"(?<![\w#])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w*:)")
TIME = re.compile(r"#(?: ?(?:h|min|m|s|ms|us|µs))(?: #(?: ?(?:h|min|m|s|ms)))*\b")
STAMP = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+")
BARS = re.compile(r"[━─╸╺█▏▎▍▌▋▊▉░▒▓▁▂▃▄▅▆▇⠀-⣿|+-]{2,}")


def is_computed(words: Sequence[str]) -> bool:
    """Whether a command says the same on every machine."""
    return len(words) > 1 and words[0] == "specc" and words[1] in COMPUTED and "--train" not in words


def alike(shown: str, said: str, *, computed: bool) -> bool:
    """Whether the page is right; a line of three dots stands for any lines, three dots in a line for anything in it.

    >>> alike("epoch 1/2  9.1 s\\n...\\ndone", "epoch 1/2  12 s\\nepoch 2/2  11 s\\ndone", computed=False)
    True
    >>> alike("peak 9.1 MiB", "peak 9.2 MiB", computed=True)
    False
    """
    form = _lines if computed else _form
    return re.fullmatch(_pattern(form(shown)), "".join(f"{line}\n" for line in form(said))) is not None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def _form(text: str) -> list[str]:
    return [_shape(line) for line in _lines(text)]


def _shape(line: str) -> str:
    """A line without its figures, as wide as they may be.

    >>> _shape("epoch  1/20  lr 0.01  train 23.12%  11.1 s") == _shape("epoch 10/20  lr 0.003078  train 3%  1 min 1 s")
    True
    """
    line = STAMP.sub("TIME-HASH", line)
    return " ".join(TIME.sub("#", NUMBER.sub("#", BARS.sub("--", line))).split())


def _pattern(lines: Sequence[str]) -> str:
    return "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in lines
    )
