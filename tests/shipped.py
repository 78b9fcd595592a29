"""The shipped specs: all of them, and representatives for tests that take long."""

from __future__ import annotations

from pathlib import Path

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
