"""Small networks as people write them, for images of 3 x 8 x 8 and four classes; all but `REFUSED` can be traced."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

CLASSES = 4


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class Net(nn.Module):
    """Stem, body, head; what is in between is what a subclass is about."""

    width = 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, self.width), nn.ReLU())
        self.body = self.make()
        self.tail = nn.Sequential(conv(self.width, self.width), nn.ReLU())
        self.head = nn.Linear(self.width, CLASSES)

    def make(self) -> nn.Module:
        return conv(self.width, self.width)

    def features(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found

    def forward(self, x: Tensor) -> Any:
        x = self.tail(self.features(self.stem(x)))
        return self.head(x.mean((2, 3)))


class ControlFlow(Net):
    """Decides by shapes and settings."""

    def features(self, x: Tensor) -> Tensor:
        while x.shape[-1] > 4:
            x = F.max_pool2d(x, 2)
        return self.body(x) if x.dim() == 4 and self.width == 4 else x


class Buffers(Net):
    """Reads buffers, one of them not saved."""

    def make(self) -> nn.Module:
        self.register_buffer("middle", torch.linspace(-1, 1, 4).view(1, 4, 1, 1))
        self.register_buffer("width_of_it", torch.tensor(0.5), persistent=False)
        return conv(4, 4)

    def features(self, x: Tensor) -> Tensor:
        return self.body((x - self.middle) / self.width_of_it)


class Average(nn.Module):
    """Keeps an average of what it sees, in a buffer, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(4))
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.average.mul_(0.9).add_(x.detach().mean((0, 2, 3)), alpha=0.1)
        return (x - self.average[:, None, None]) * self.scale[:, None, None]


class WritesBuffers(Net):
    def make(self) -> nn.Module:
        return Average()


class UsedTwice(Net):
    """One convolution at two places, another one between them."""

    def make(self) -> nn.Module:
        return nn.ModuleDict({"shared": conv(4, 4), "between": conv(4, 4)})

    def features(self, x: Tensor) -> Tensor:
        return self.body["shared"](torch.relu(self.body["between"](torch.tanh(self.body["shared"](x)))))


class UsedInALoop(Net):
    def features(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x + torch.tanh(self.body(x))
        return x


class Tied(Net):
    """Two modules with one weight."""

    def make(self) -> nn.Module:
        body = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Tanh(), nn.Conv2d(4, 4, 1))
        body[2].weight = body[0].weight
        return body


class Join(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv(4, 4), conv(4, 4)

    def forward(self, a: Tensor, b: Tensor, *, factor: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
        return self.left(a) + factor * self.right(b), {"difference": a - b}


class SeveralInputsAndOutputs(Net):
    def make(self) -> nn.Module:
        return Join()

    def features(self, x: Tensor) -> Tensor:
        joined, more = self.body(x, x.flip(-1), factor=0.5)
        return joined + more["difference"]

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        return {"logits": logits, "probabilities": logits.softmax(1)}


class FunctionalDropout(Net):
    def features(self, x: Tensor) -> Tensor:
        return F.dropout2d(F.dropout(self.body(x), 0.3, self.training), 0.2, self.training)


class Nested(Net):
    """Containers in containers, one of them with a choice in it."""

    def make(self) -> nn.Module:
        pair = nn.ModuleList([conv(4, 4), nn.ModuleDict({"a": conv(4, 4), "b": nn.Identity()})])
        return nn.Sequential(nn.Sequential(conv(4, 4), nn.Sequential(nn.ReLU())), nn.ModuleList([pair]))

    def features(self, x: Tensor) -> Tensor:
        x = self.body[0](x)
        first, choice = self.body[1][0]
        for name in ("a", "b"):
            x = choice[name](first(x)) if name == "a" else choice[name](x)
        return x


class StochasticDepth(nn.Module):
    """Not what libraries call so."""

    p, mode = 0.5, "row"

    def forward(self, x: Tensor) -> Tensor:
        return x.cos()


class OwnNames(Net):
    def make(self) -> nn.Module:
        return nn.Sequential(conv(4, 4), StochasticDepth())


class Hooked(Net):
    """Hooks that change what goes in and what comes out."""

    def make(self) -> nn.Module:
        body = conv(4, 4)
        body.register_forward_pre_hook(lambda module, given: (given[0] * 2,))
        body.register_forward_hook(lambda module, given, result: result + given[0])
        return body


class WeightNorm(Net):
    def make(self) -> nn.Module:
        return parametrizations.weight_norm(conv(4, 4))


class Squared(torch.autograd.Function):
    """Whose backward is not that of its forward."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = context.saved_tensors
        return gradient * x  # without the two


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = Squared.apply(x)
        return found


class CustomFunction(Net):
    def make(self) -> nn.Module:
        return nn.Sequential(conv(4, 4), Square())


class Einsum(Net):
    def make(self) -> nn.Module:
        self.mix = nn.Parameter(torch.randn(4, 4))
        return conv(4, 4)

    def features(self, x: Tensor) -> Tensor:
        return self.body(torch.einsum("nchw,cd->ndhw", x, self.mix))


class InPlace(Net):
    def features(self, x: Tensor) -> Tensor:
        x = self.body(x)
        x += 1
        x.mul_(0.5)
        x[:, 0] *= 2
        return F.leaky_relu(x, 0.1, inplace=True)


class Slicing(Net):
    def features(self, x: Tensor) -> Tensor:
        even, odd = x[..., ::2], x[:, :, :, 1::2]
        turned = torch.cat((odd[:, -2:], even[:, [1, 0]]), 1)[:, None].squeeze(1)
        return self.body(turned.repeat_interleave(2, -1)) + x.roll(1, 2).narrow(1, 0, 4)


class Chunks(Net):
    def features(self, x: Tensor) -> Tensor:
        first, second = self.body(x).chunk(2, 1)
        return torch.stack([first, second.sigmoid() * first], 2).flatten(1, 2)


class OwnAttention(Net):
    def make(self) -> nn.Module:
        return nn.ModuleDict({"qkv": nn.Linear(4, 12), "out": nn.Linear(4, 4)})

    def features(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.body["qkv"](x.flatten(2).transpose(1, 2)).reshape(n, h * w, 3, 2, 2).permute(2, 0, 3, 1, 4)
        found = (q @ k.transpose(-2, -1) * 2**-0.5).softmax(-1) @ v
        return x + self.body["out"](found.transpose(1, 2).reshape(n, h * w, c)).mT.reshape(n, c, h, w)


class RotatedAttention(OwnAttention):
    """Turns queries and keys by where they stand."""

    def make(self) -> nn.Module:
        angles = torch.arange(64.0)[:, None].expand(-1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        return super().make()

    def turned(self, t: Tensor) -> Tensor:
        return t * self.cos + torch.cat([-t[..., 1:], t[..., :1]], -1) * self.sin

    def features(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        rows = self.body["qkv"](x.flatten(2).mT)
        q, k, v = (t.unflatten(2, (2, 2)).transpose(1, 2) for t in rows.chunk(3, 2))
        found = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v)
        return x + self.body["out"](found.transpose(1, 2).reshape(n, h * w, c)).mT.reshape(n, c, h, w)


class Recurrent(Net):
    def make(self) -> nn.Module:
        return nn.LSTM(4, 2, batch_first=True, bidirectional=True)

    def features(self, x: Tensor) -> Tensor:
        found, _ = self.body(x.mean(2).mT)  # along one axis: without numbers every step of it is an op of torch's
        return x + found.mT[:, :, None]


class Skips(Net):
    """Down, up again, and what was before beside it."""

    def make(self) -> nn.Module:
        return nn.ModuleList([conv(4, 8, 2), nn.ConvTranspose2d(8, 4, 2, 2), conv(8, 4)])

    def features(self, x: Tensor) -> Tensor:
        down, up, join = self.body
        low = F.relu(down(x))
        return join(torch.cat([up(low), F.interpolate(low[:, :4], size=x.shape[2:], mode="bilinear")], 1))


class Fixed(Net):
    """With a layer that nobody trains."""

    def make(self) -> nn.Module:
        return nn.Sequential(conv(4, 4).requires_grad_(False), nn.BatchNorm2d(4), conv(4, 4))


class Sloped(Net):
    """With activations that learn."""

    def make(self) -> nn.Module:
        return nn.Sequential(conv(4, 4), nn.PReLU(4, init=0.1), conv(4, 4), nn.PReLU())


class OwnParameters(Net):
    def make(self) -> nn.Module:
        self.gates = nn.ParameterList([nn.Parameter(torch.zeros(4, 1, 1)), nn.Parameter(torch.ones(()))])
        return conv(4, 4)

    def features(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gates[0]) + self.gates[1] * self.body(x)


class Norms(Net):
    def make(self) -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm2d(4, affine=False), conv(4, 4), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4),
            nn.BatchNorm2d(4, track_running_stats=False),
        )  # fmt: skip


class Drop(nn.Module):
    """Leaves samples out, by a hand that draws."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(0.5) / 0.5


class OwnDropping(Net):
    def make(self) -> nn.Module:
        return nn.Sequential(conv(4, 4), Drop(), conv(4, 4))


class HeldBack(Net):
    """Some of it is computed while gradients are off."""

    def make(self) -> nn.Module:
        return nn.ModuleList([conv(4, 4), conv(4, 4)])

    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            first = self.body[0](x).tanh()
        return self.body[1](x * first)


class Checkpointed(Net):
    def features(self, x: Tensor) -> Tensor:
        found: Tensor = checkpoint(self.body, x, use_reentrant=False)
        return found


class Typed(Net):
    """Goes to other number formats, and back."""

    def features(self, x: Tensor) -> Tensor:
        mask = (x > 0.5).to(x.dtype)
        index = x.detach().argmax(1, keepdim=True)
        return self.body(x * mask + torch.where(x > 0, x, x.exp() - 1)).gather(1, index.expand_as(x)) + x


class Experts(Net):
    """All experts, weighed by a gate."""

    def make(self) -> nn.Module:
        return nn.ModuleDict({"gate": nn.Linear(4, 3), "experts": nn.ModuleList(conv(4, 4) for _ in range(3))})

    def features(self, x: Tensor) -> Tensor:
        weights = self.body["gate"](x.mean((2, 3))).softmax(-1)
        found = torch.stack([expert(x) for expert in self.body["experts"]], 1)
        return (found * weights[:, :, None, None, None]).sum(1)


class Asks(nn.Module):
    """One answer to a learned question, which every sample asks."""

    def __init__(self) -> None:
        super().__init__()
        self.question = nn.Parameter(torch.zeros(1, 1, 4))
        self.asked, self.known = nn.Linear(4, 4), nn.Linear(4, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        asked = self.asked(self.question.expand(tokens.shape[0], -1, -1))
        return F.scaled_dot_product_attention(asked, *self.known(tokens).chunk(2, -1))


class PooledByAttention(Net):
    def make(self) -> nn.Module:
        return Asks()

    def features(self, x: Tensor) -> Tensor:
        answer: Tensor = self.body(x.flatten(2).mT)
        return x * answer.mT[..., None]


MODULES = tuple(
    kind.__name__
    for kind in (
        ControlFlow, Buffers, WritesBuffers, UsedTwice, UsedInALoop, Tied, SeveralInputsAndOutputs, FunctionalDropout,
        Nested, OwnNames, Hooked, WeightNorm, CustomFunction, Einsum, InPlace, Slicing, Chunks, OwnAttention,
        RotatedAttention, Recurrent, Skips, Fixed, OwnParameters, Norms, OwnDropping, HeldBack, Checkpointed, Typed,
        Experts, PooledByAttention, Sloped,
    )
)  # fmt: skip


CUTS = {"ControlFlow": ("tail",), "Buffers": ("tail",)}  # what has no weights goes with what comes before it


# ---------------------------------------------------------------------------------------- refused


class DecidesByNumbers(Net):
    def features(self, x: Tensor) -> Tensor:
        if x.mean() > 0:  # by numbers
            x = -x
        return self.body(x)


class Picking(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0].sum() * x  # by numbers


class PicksNumbers(Net):
    def make(self) -> nn.Module:
        return nn.Sequential(conv(4, 4), Picking())


class CountsInItself(Net):
    def make(self) -> nn.Module:
        self.register_buffer("seen", torch.zeros(()))
        return conv(4, 4)

    def forward(self, x: Tensor) -> Any:
        self.seen += 1  # in itself
        return super().forward(x / self.seen)


class FunctionInItself(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(Squared.apply(x))  # in itself


REFUSED = {"DecidesByNumbers": "", "PicksNumbers": "body.1", "CountsInItself": "", "FunctionInItself": ""}
