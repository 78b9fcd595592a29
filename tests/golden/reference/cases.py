"""Configurations that nobody traced: other depths, numbers of units, image sizes, classes, batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .backbone import Config
from .configs import HALF, cifar, imagenet

STL = {"image_size": 96, "mean_std": HALF}
K2, K3, K4 = [[2, 2]], [[1, 4], [2, 4]], [[1, 2], [2, 1], [3, 0]]
K8 = [[1, 0], [1, 2], [1, 4], [2, 1], [2, 3], [3, 0], [3, 2]]
TABLE = {2: K2, 3: K3, 4: K4, 8: K8}
CONTRAST = {"local_loss_mode": "contrast", "batch_size": 16}


def split_evenly(blocks: int, k: int, *, stem: bool = False) -> list[list[int]]:
    """k - 1 cuts in three stages of `blocks`; the stem is a layer of its own only where asked for."""
    places = [[0, 0]] * stem + [[s, b] for s in (1, 2, 3) for b in range(blocks)]
    return [places[round(len(places) * i / k) - 1] for i in range(1, k)]


def fast() -> Iterator[tuple[str, Config]]:
    """A few seconds each: small nets and images, every head and rule at a place where no golden file has it."""
    yield "e2e_resnet14_28", cifar("end-to-end", 14, 1, image_size=28, classes=100)
    yield "infopro_resnet20_k2_1c1f", cifar("InfoPro", 20, 2, [[2, 1]], image_size=24, aux={"classifier": "1c1f"})
    yield (
        "infopro_resnet14_k5_contrast",
        cifar(
            "InfoPro", 14, 5, [[0, 0], [1, 1], [2, 1], [3, 0]], image_size=20, mean_std=HALF, classes=100, **CONTRAST
        ),
    )
    yield "man_resnet20_k3_svhn", cifar("MAN", 20, 3, [[1, 2], [2, 2]], mean_std=HALF, image_size=24, ema_momentum=0.9)
    yield "man_resnet20_k8", cifar("MAN", 20, 8, split_evenly(3, 8), image_size=18, batch_size=3)
    yield "hpff_resnet14_k2", cifar("HPFF", 14, 2, [[2, 0]], image_size=24)
    yield "hpff_resnet14_k3_contrast", cifar("HPFF", 14, 3, [[1, 1], [2, 1]], image_size=16, **CONTRAST)
    yield "hpff_resnet20_k7", cifar("HPFF", 20, 7, split_evenly(3, 7), image_size=24, classes=100, batch_size=3)
    yield "dgl_resnet20_k5_28", cifar("DGL", 20, 5, image_size=28, batch_size=8)
    yield "predsim_resnet20_k10_28", cifar("PredSim", 20, 10, image_size=28, classes=100)
    yield "predsim_resnet14_k4_40", cifar("PredSim", 14, 4, image_size=40)
    for depth in (1, 3, 4):
        yield f"auglocal_resnet20_k10_d{depth}", cifar("AugLocal", 20, 10, aux_depth=depth, image_size=14)
    yield "auglocal_resnet20_k8_d2_flat_30", cifar("AugLocal", 20, 8, aux_depth=2, pyramid=0.0, image_size=30)
    small: dict[str, Any] = {"image_size": 32, "classes": 20, "batch_size": 4}
    yield "man_imagenet_resnet50_k2_32", imagenet("MAN", "resnet50", 2, [[2, 1]], **small)
    yield "hpff_imagenet_resnet50_k4_32", imagenet("HPFF", "resnet50", 4, [[2, 0], [3, 1], [3, 3]], **small)


def thorough() -> Iterator[tuple[str, Config]]:
    """What the authors' scripts can be asked for, and was not traced; an hour."""
    yield "e2e_resnet110", cifar("end-to-end", 110, 1)
    yield "e2e_resnet32_96", cifar("end-to-end", 32, 1, **STL)
    deep = {k: split_evenly(18, k) for k in (2, 4, 16, 32)} | {55: split_evenly(18, 54)}
    for method in ("InfoPro", "MAN", "HPFF"):
        low = method.lower()
        yield f"{low}_resnet32_k4_96", cifar(method, 32, 4, K4, **STL)
        yield f"{low}_resnet32_k4_svhn", cifar(method, 32, 4, K4, mean_std=HALF)
        for k, table in TABLE.items():
            yield f"{low}_resnet32_k{k}", cifar(method, 32, k, table, classes=100)
            yield f"{low}_resnet32_k{k}_contrast", cifar(method, 32, k, table, **CONTRAST)
        for k, table in deep.items():
            stem = [[0, 0]] * (method == "InfoPro" and k == 55)
            yield f"{low}_resnet110_k{k}", cifar(method, 110, k, stem + table)
    for classifier in ("0c1f", "0c2f", "1c1f", "1c3f", "2c2f"):
        yield f"infopro_resnet32_k4_{classifier}", cifar("InfoPro", 32, 4, K4, aux={"classifier": classifier})
    yield "infopro_resnet32_k16_contrast", cifar("InfoPro", 32, 16, split_evenly(5, 16, stem=True), **CONTRAST)
    for method in ("DGL", "PredSim"):
        yield f"{method.lower()}_resnet32_k16_96", cifar(method, 32, 16, **STL)
        for depth, k in ((32, 2), (32, 3), (32, 8), (32, 13), (110, 47), (110, 55)):
            yield f"{method.lower()}_resnet{depth}_k{k}", cifar(method, depth, k, classes=100)
    yield "auglocal_resnet32_k16_d3_96", cifar("AugLocal", 32, 16, aux_depth=3, **STL)
    for depth, k, sampled in (
        *((32, 16, sampled) for sampled in (1, 3, 4, 5, 6, 8, 9)),
        *((110, 55, sampled) for sampled in (1, 2, 5, 9)),
        *((32, 13, 2), (32, 4, 2), (32, 5, 1), (32, 8, 6), (32, 6, 3)),
    ):
        yield f"auglocal_resnet{depth}_k{k}_d{sampled}", cifar("AugLocal", depth, k, aux_depth=sampled)
    for sampled, pyramid in ((2, 0.0), (4, 1.0), (7, 0.3)):
        name = f"auglocal_resnet32_k16_d{sampled}_c{pyramid}"
        yield name, cifar("AugLocal", 32, 16, aux_depth=sampled, pyramid=pyramid)
    yield from imagenet_cases()


def imagenet_cases() -> Iterator[tuple[str, Config]]:
    eight = [[2, 0], [3, 1], [3, 5], [3, 9], [3, 13], [3, 17], [3, 21]]
    for arch in ("resnet101", "resnext101_32x8d"):
        yield f"man_imagenet_{arch}_k2", imagenet("MAN", arch, 2, [[2, 0]])
    for arch in ("resnet152", "resnext101_32x8d"):
        yield f"hpff_imagenet_{arch}_k4", imagenet("HPFF", arch, 4, [[3, 0], [3, 9], [3, 17]])
    for arch in ("resnet101", "resnet152"):
        yield f"hpff_imagenet_{arch}_k8", imagenet("HPFF", arch, 8, eight)
