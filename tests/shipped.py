"""The shipped specs: all of them, and representatives for tests that take long."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from specc.checking import load
from specc.diagnostics import Diagnostic
from specc.pipeline import compile_spec
from specc.plan import Plan
from specc.spec.load import Spec

FOLDER = Path(__file__).parents[1] / "specs"
SHIPPED = sorted(FOLDER.glob("*.yaml"))  # base/ holds what they extend

# Every method in its smallest form, and what is special about the larger data sets: the longest lists, other widths.
REPRESENTATIVES = [
    path
    for path in SHIPPED
    if path.stem.endswith("_fashion_mnist")
    or path.stem in ("quickstart", "man_svhn", "hpff_cifar10", "hpff_imagenet", "manpp_imagenet", "auglocal_stl10")
]
FEW = [FOLDER / f"{name}.yaml" for name in ("quickstart", "e2e_cifar10", "man_svhn", "hpff_cifar10", "hpff_imagenet")]


# Once for all tests of a process, as many ask something of every one.


@cache
def loaded(path: Path) -> Spec:
    """As it is read; what the checks find in it comes of compiling it."""
    return load(path)


@cache
def compiled(path: Path) -> tuple[Plan, tuple[Diagnostic, ...]]:
    """Its plan, and what it is warned of."""
    return compile_spec(loaded(path))


def plan_of(path: Path) -> Plan:
    """Its plan."""
    return compiled(path)[0]
