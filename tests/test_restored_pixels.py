"""What a decoder restores are the pixels of the images, all of which lie in 0..1 whatever rounding makes of them."""

from __future__ import annotations

import pytest
import torch

from runtime import Session
from specc.tasks.datasets import INFO

from .documents import compiled

LEVELS = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
FACTS = {
    "CIFAR-10": (INFO["cifar10"].mean, INFO["cifar10"].std),
    "ImageNet": (INFO["imagenet"].mean, INFO["imagenet"].std),
    "somebody's own": ((0.1307, 0.93, 0.61), (0.3081, 0.07, 0.4)),
}


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_every_level_of_a_pixel_can_be_restored(name: str, memory_format: str) -> None:
    """Black, normalised and put back, was a little less than 0, which torch takes for no target at all."""
    facts = {"mean": list(FACTS[name][0]), "std": list(FACTS[name][1])}
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 24, "batch_size": 4}
    plan = compiled(data=data | facts, auxiliary={"classifier": {}, "reconstruction": {"channels": 3}},
                    train={"memory_format": memory_format})  # fmt: skip
    session = Session(plan)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (plan.data.mean, plan.data.std))
    images = LEVELS.expand(4, 3, 8, 8).to(torch.float32).div_(255).sub_(mean).div_(std)  # as a loader does it
    seen = []
    target = session.executor.machine.target
    session.executor.machine.target = lambda head, given: seen.append(target(head, given)) or seen[-1]
    session.train_step(images, torch.tensor([0, 1, 2, 3]))
    restored = next(each for each in seen if each.dim() == 4)
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert torch.allclose(restored, LEVELS.expand(4, 3, 8, 8) / 255, atol=1e-6)
