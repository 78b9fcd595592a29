"""specc: a declarative compiler for supervised local learning. Importing it never imports torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import about
from .diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from .plan import Plan
    from .spec.load import Spec
    from .system.devices import Device

__version__ = about.VERSION
__all__ = ["Diagnostic", "Plan", "Spec", "SpecError", "__version__", "compile", "load"]

_LAZY = {"Plan": "specc.plan", "Spec": "specc.spec.load"}


def load(source: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Spec:
    """Read and validate a spec file; `overrides` are ``key.path=value``. Raises `SpecError` with every diagnostic."""
    from .checking import load as load_spec

    return load_spec(source, overrides)


def compile(source: str | os.PathLike[str] | Spec, overrides: Sequence[str] = (), device: Device | None = None) -> Plan:
    """Compile a spec (a file's path, or what `load` returned) into a plan. Raises `SpecError` with every diagnostic.

    Memory is predicted by the rules of `device`, a GPU's where nothing is said: the same on every machine, unlike the
    command line, which predicts for the device that a run would take.
    """
    from .pipeline import compile_spec
    from .spec.load import Spec

    spec = source if isinstance(source, Spec) else load(source, overrides)
    return compile_spec(spec if device is None else spec.on(device))[0]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'specc' has no attribute '{name}'")
