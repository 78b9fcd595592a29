"""What may be done to training images: one class an augmentation, with torchvision's names of its arguments."""

from ...system.plugins import Registry
from .base import Augmentation
from .colours import (
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomChannelPermutation,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPhotometricDistort,
    RandomPosterize,
    RandomSolarize,
)
from .moving import (
    ElasticTransform,
    HorizontalFlip,
    RandomAffine,
    RandomCrop,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    VerticalFlip,
)
from .policies import AugMix, AutoAugment, CutMix, Mixing, MixUp, RandAugment, TrivialAugment

AUGMENTATIONS: Registry[type[Augmentation]] = Registry(
    "augmentation",
    Augmentation,
    {
        "random_crop": RandomCrop,
        "random_resized_crop": RandomResizedCrop,
        "horizontal_flip": HorizontalFlip,
        "vertical_flip": VerticalFlip,
        "random_rotation": RandomRotation,
        "random_affine": RandomAffine,
        "random_perspective": RandomPerspective,
        "elastic_transform": ElasticTransform,
        "color_jitter": ColorJitter,
        "photometric_distort": RandomPhotometricDistort,
        "random_grayscale": RandomGrayscale,
        "channel_permutation": RandomChannelPermutation,
        "adjust_sharpness": RandomAdjustSharpness,
        "autocontrast": RandomAutocontrast,
        "equalize": RandomEqualize,
        "invert": RandomInvert,
        "posterize": RandomPosterize,
        "solarize": RandomSolarize,
        "gaussian_blur": GaussianBlur,
        "gaussian_noise": GaussianNoise,
        "jpeg": Jpeg,
        "random_erasing": RandomErasing,
        "auto_augment": AutoAugment,
        "rand_augment": RandAugment,
        "trivial_augment": TrivialAugment,
        "aug_mix": AugMix,
        "mixup": MixUp,
        "cutmix": CutMix,
    },
)

__all__ = ["AUGMENTATIONS", "Augmentation", "Mixing"]
