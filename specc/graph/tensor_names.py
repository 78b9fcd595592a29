"""Other names for a backbone's tensors: rules that turn a canonical name into the one another library uses."""

from __future__ import annotations

import re
from collections.abc import Callable

Replacement = str | Callable[[re.Match[str]], str]
Rules = tuple[tuple[str, Replacement], ...]  # a pattern for the beginning of the name, and what stands there instead


def rename(name: str, rules: Rules) -> str:
    """The name by the first rule that fits.

    >>> rename("stage2.0.conv1.weight", ((r"stem\\.", "conv1."), (r"stage(\\d)\\.", r"layer\\1.")))
    'layer2.0.conv1.weight'
    """
    for pattern, replacement in rules:
        match = re.match(pattern, name)
        if match:
            start = match.expand(replacement) if isinstance(replacement, str) else replacement(match)
            return start + name[match.end() :]
    raise KeyError(name)
