"""The readers of the data sets, each of the name in the spec: `NAME(config, info) -> Splits`."""

from .archives import stl10, svhn
from .folders import image_folder, imagenet, label_folder
from .idx import fashion_mnist, mnist
from .made import digits, synthetic
from .own import given, module
from .pairs import cityscapes, mask_folder, voc
from .pickled import cifar10
from .tars import tar_folder

__all__ = [
    "cifar10", "cityscapes", "digits", "fashion_mnist", "given", "image_folder", "imagenet", "label_folder",
    "mask_folder", "mnist", "module", "stl10", "svhn", "synthetic", "tar_folder", "voc",
]  # fmt: skip
