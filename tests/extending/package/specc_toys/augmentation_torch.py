"""The augmentation in torch: of torch's own draws, which are seeded for every sample."""

import torch
from torchvision.transforms import v2


class Swapped(v2.Transform):
    """Of images, and of masks beside them."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def make_params(self, flat_inputs: list) -> dict:
        return {"swapped": bool(torch.rand(()) < self.p)}

    def transform(self, inpt: torch.Tensor, params: dict) -> torch.Tensor:
        return torch.roll(inpt, inpt.shape[-1] // 2, -1) if params["swapped"] else inpt
