"""ImageNet (ILSVRC 2012) as class folders, or as the three archives, which `data.download=true` unpacks."""

from __future__ import annotations

from pathlib import Path

from runtime.data.archive import fetched
from runtime.data.config import DataConfig
from runtime.data.errors import DataError
from runtime.data.folder import open_folders
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData

_ARCHIVES = (
    "to unpack the archives: put ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar "
    "into data.root, then specc run SPEC data.download=true"
)


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` is a random resized crop and a mirror; evaluation resizes to 256 and crops 224 from the centre."""
    roots = [config.folder, config.folder / "imagenet"]
    if config.download:
        fetched(config, lambda: _unpack(roots))
    try:
        return open_folders(config, info, roots)
    except DataError as error:
        raise DataError(str(error), help=[*error.help, _ARCHIVES]) from error


def _unpack(roots: list[Path]) -> None:
    """Unpack the archives that lie in one of `roots`; the licence forbids that anything downloads them."""
    from torchvision.datasets import ImageNet  # late: takes seconds

    root = next((root for root in roots if (root / "ILSVRC2012_devkit_t12.tar.gz").is_file()), roots[0])
    for split in ("train", "val"):
        ImageNet(str(root), split=split)
