"""Tensors without numbers, as torch fakes them: what cannot be done with them is told by specc, and by nobody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from torch._subclasses import FakeTensorMode

_LOG = logging.getLogger("torch._subclasses.fake_tensor")


@contextmanager
def fakes(*, beside_real: bool = False) -> Iterator[None]:
    """While entered, tensors have no numbers; `beside_real`: tensors with numbers may be computed with too.

    Of a call that fails torch would write a traceback to stderr, before anybody knows whether it matters.
    """

    def nothing(_: logging.LogRecord) -> bool:
        return False

    _LOG.addFilter(nothing)
    try:
        with FakeTensorMode(allow_non_fake_inputs=beside_real):
            yield
    finally:
        _LOG.removeFilter(nothing)
