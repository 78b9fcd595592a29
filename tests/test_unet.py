"""The U-Net: its numbers are those of a plain one, and it may be cut only where a single value is alive."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.engine.network import GraphModule
from specc.graph.families import UNet
from specc.graph.ops import ShapeError
from specc.plan import Network

from .conftest import SEED


class Plain(nn.Module):
    """Two levels down and up, written out."""

    def __init__(self, up: str, norm: bool) -> None:
        super().__init__()
        self.bilinear, self.norm = up == "bilinear", norm
        widths = [(3, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 8), (8, 8), (8, 4), (4, 4)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=not norm) for a, b in widths)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in widths)
        up_conv = (lambda a, b: nn.Conv2d(a, b, 1)) if self.bilinear else lambda a, b: nn.ConvTranspose2d(a, b, 2, 2)
        self.ups = nn.ModuleList((up_conv(16, 8), up_conv(8, 4)))
        self.head = nn.Conv2d(4, 5, 1)

    def two(self, x: Tensor, first: int) -> Tensor:
        for i in (first, first + 1):
            x = self.convs[i](x)
            x = F.relu(self.norms[i](x) if self.norm else x)
        return x

    def raised(self, x: Tensor, i: int, beside: Tensor) -> Tensor:
        if self.bilinear:
            x = F.interpolate(x, beside.shape[2:], mode="bilinear", align_corners=True)
        return torch.cat((beside, self.ups[i](x)), 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.two(x, 0)
        two = self.two(F.max_pool2d(one, 2), 2)
        x = self.two(F.max_pool2d(two, 2), 4)
        x = self.two(self.raised(x, 0, two), 6)
        x = self.two(self.raised(x, 1, one), 8)
        return self.head(x)

    def in_order(self) -> list[nn.Module]:
        """The modules in the order in which they run."""
        pairs = [[c, n] if self.norm else [c] for c, n in zip(self.convs, self.norms, strict=True)]
        pairs[6].insert(0, self.ups[0])
        pairs[8].insert(0, self.ups[1])
        return [module for pair in pairs for module in pair] + [self.head]


@pytest.mark.parametrize(
    ("up", "norm", "size"),
    [("transposed", True, (8, 12)), ("bilinear", False, (9, 11))],
    ids=["transposed", "bilinear"],
)
def test_the_numbers_are_those_of_a_plain_one(up: str, norm: bool, size: tuple[int, int]) -> None:
    graph = UNet(family="unet", width=4, depth=2, up=up, batch_norm=norm).expand((3, *size), 5)
    assert graph.layers[-1].shape == (5, *size)
    torch.manual_seed(SEED)
    plain = Plain(up, norm).double()
    module = GraphModule(Network("net", "", graph.part(0, len(graph.layers) - 1), "net")).double()
    theirs = [p for part in plain.in_order() for p in part.parameters()]
    ours = list(module.parameters())
    assert [p.shape for p in ours] == [p.shape for p in theirs]
    with torch.no_grad():
        for own, other in zip(ours, theirs, strict=True):
            own.copy_(other)
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    got, want = module.train()(images), plain.train()(images)
    assert torch.allclose(got, want, rtol=1e-10, atol=1e-10)
    got.square().mean().backward()
    want.square().mean().backward()
    for own, other in zip(ours, theirs, strict=True):
        assert own.grad is not None
        assert torch.allclose(own.grad, other.grad, rtol=1e-10, atol=1e-10)


def test_it_may_be_cut_anywhere_and_by_itself_where_nothing_waits_for_its_level() -> None:
    graph = UNet(family="unet", width=4, depth=3).expand((1, 16, 16), 2)
    assert graph.cuts == tuple(layer.name for layer in graph.layers[:-1])
    assert graph.narrow_cuts == graph.cut_choices == ("down1.0", "down1.1", "up1.0", "up1.1")
    waiting = graph.alive_after(graph.index["bottom.1"])
    assert waiting == ("down1.1.relu", "down2.1.relu", "down3.1.relu", "bottom.1.relu")


def test_images_that_do_not_halve_evenly_want_another_way_up() -> None:
    with pytest.raises(ShapeError, match=r"undoes 3 poolings of images that 8 divides, not of 20×16"):
        UNet(family="unet", width=4, depth=3).expand((1, 20, 16), 2)
    graph = UNet(family="unet", width=4, depth=3, up="bilinear").expand((1, 20, 17), 2)
    assert graph.layers[-1].shape == (2, 20, 17)
