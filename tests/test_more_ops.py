"""Ops that move, cut, double and look up numbers: the same as torch's own functions, and the right gradients."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.engine.modules import BUILDERS
from specc.graph import ops
from specc.graph.ops import Op, Shape, ShapeError

MAP: Shape = (4, 4, 6)


def module_of(op: Op, shape: Shape) -> nn.Module:
    return BUILDERS[op.name](op, (shape,)).double()


def value(shape: Shape) -> Tensor:
    """A batch of two with numbers that differ everywhere."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("op", "theirs"),
    [
        (ops.Permute((2, 0, 1)), lambda x: x.permute(0, 3, 1, 2)),
        (ops.ChannelShuffle(2), lambda x: F.channel_shuffle(x, 2)),
        (ops.SpaceToDepth(2), lambda x: F.pixel_unshuffle(x, 2)),
        (ops.DepthToSpace(2), lambda x: F.pixel_shuffle(x, 2)),
        (ops.Roll((1, -2)), lambda x: x.roll((1, -2), (2, 3))),
        (ops.Roll(7), lambda x: x.roll((7, 7), (2, 3))),
        (ops.Reshape((2, 3, 16)), lambda x: x.reshape(2, 2, 3, 16)),
        (ops.Slice(3, 1, axis=2), lambda x: x[..., 1:3]),
        (ops.Split(3, 2, axis=2), lambda x: x.chunk(3, 3)[2]),
        (ops.Scale(-0.5), lambda x: x * -0.5),
        (ops.Resize((8, 3), mode="nearest"), lambda x: F.interpolate(x, (8, 3), mode="nearest")),
        (ops.RmsNorm(), lambda x: F.rms_norm(x.movedim(1, -1), (4,), eps=1e-6).movedim(-1, 1)),
    ],
    ids=lambda case: case.name if isinstance(case, Op) else "",
)  # fmt: skip
def test_the_same_numbers_and_gradients_as_torch(op: Op, theirs: object) -> None:
    assert callable(theirs)
    x, module = value(MAP), module_of(op, MAP)
    expected = theirs(x)
    seed = torch.arange(expected.numel(), dtype=torch.float64).view_as(expected)
    (gradient,) = torch.autograd.grad(expected, x, seed)
    for channels_last in (False, True):
        own = x.detach().to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        own.requires_grad_()
        found = module(own)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(torch.autograd.grad(found, own, seed)[0], gradient)
        with torch.no_grad():  # plain ops, for whoever exports the network
            torch.testing.assert_close(module(own), expected)


def test_windows_are_cut_row_by_row_and_laid_back() -> None:
    x = value(MAP)
    cut = module_of(ops.WindowPartition((2, 3)), MAP)(x)
    windows = [x[:, :, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3].flatten(2).mT for i in range(2) for j in range(2)]
    assert torch.equal(cut, torch.cat(windows, 1))
    back = module_of(ops.WindowReverse((2, 3), (4, 6)), (24, 4))(cut)
    assert torch.equal(back, x)
    assert torch.equal(torch.autograd.grad(back.square().sum(), x)[0], 2 * x)


def test_attention_looks_at_one_window_at_a_time() -> None:
    shape = (12, 4)
    x, windowed = value(shape), module_of(ops.Attention(2, windows=3), shape)
    whole = module_of(ops.Attention(2), (4, 4))
    whole.load_state_dict(windowed.state_dict())
    torch.testing.assert_close(windowed(x), torch.cat([whole(part) for part in x.chunk(3, 1)], 1))


def test_an_embedding_reads_the_bytes_of_a_normalised_picture() -> None:
    picture = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    normalised = (picture / 255 - 0.5) / 0.5
    integers = BUILDERS["to_integers"](ops.ToIntegers(), ((1, 16, 16),))
    module = BUILDERS["embedding"](ops.Embedding(3), ((1, 16, 16),))
    weight: Tensor = module.weight
    assert torch.equal(integers(normalised), picture.long())
    assert torch.equal(module(integers(normalised)), weight[picture.flatten().long()][None])
    assert integers(torch.tensor([[-9.0, 9.0]])).tolist() == [[0, 255]]


def test_an_embedding_adds_up_the_gradients_of_a_row() -> None:
    module = module_of(ops.Embedding(2, rows=3), (5,))
    (table,) = torch.autograd.grad(module(torch.tensor([[0, 0, 1, 2, 2]])).sum(), tuple(module.parameters()))
    assert table.tolist() == [[2.0, 2.0], [1.0, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize("shape", [(3,), (5, 3), (3, 2, 4)])
def test_gradients_of_rms_norm_and_prelu(shape: Shape) -> None:
    for op in (ops.RmsNorm(eps=0.1), ops.Prelu("one"), ops.Prelu("channels")):
        if len(shape) != 2 or op != ops.Prelu("channels"):
            module = module_of(op, shape)
            with torch.no_grad():
                module.weight.add_(torch.linspace(0, 1, len(module.weight)))
            assert torch.autograd.gradcheck(module, (value(shape),))


def test_rms_norm_learns_a_scale_for_each_channel() -> None:
    module, theirs = module_of(ops.RmsNorm(), (5, 4)), nn.RMSNorm(4, 1e-6, dtype=torch.float64)
    with torch.no_grad():
        for own in (module, theirs):
            own.weight.copy_(torch.arange(4.0))
    x = value((5, 4))
    found, expected = module(x), theirs(x)
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad(y.square().sum(), (x, m.weight)) for y, m in ((found, module), (expected, theirs))]
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize(
    ("op", "shape", "message"),
    [
        (ops.ConvTranspose(4, output_pad=2), MAP,
         "`conv_transpose` with output_pad 2×2 needs a larger stride than 2×2"),
        (ops.ConvTranspose(4, pad=8), MAP, "`conv_transpose` with k 2×2 and pad 8×8 leaves nothing of 4×4×6"),
        (ops.ConvTranspose(3, groups=2), MAP,
         "`conv_transpose` with groups 2 cannot divide the channels of 4×4×6 and 3 output channels"),
        (ops.Prelu("channels"), (5, 4),
         "`prelu` with slopes for channels takes a feature map or a vector, not the tokens 5×4"),
        (ops.Reshape((5, 5)), MAP, "`reshape` cannot make 5×5 of the 96 numbers of 4×4×6"),
        (ops.Reshape((1, 1, 1, 1, 96)), MAP, "`reshape` gives a vector, tokens, a map or a volume, not 5 axes"),
        (ops.Permute((0, 1, 1)), MAP, "`permute` of 4×4×6 needs the axes 0, 1, 2 in some order, not [0, 1, 1]"),
        (ops.ChannelShuffle(3), MAP, "`channel_shuffle` with groups 3 cannot divide the channels of 4×4×6"),
        (ops.SpaceToDepth(4), MAP, "`space_to_depth` with k 4 cannot divide the pixels of 4×4×6"),
        (ops.DepthToSpace(4), MAP, "`depth_to_space` with k 4 cannot divide the channels of 4×4×6"),
        (ops.WindowPartition(4), MAP, "`window_partition` cannot cut 4×4×6 into windows of 4×4"),
        (ops.WindowReverse(2, 5), (24, 4), "`window_reverse` to 5×5 needs 25 tokens, not 24×4"),
        (ops.WindowReverse(4, (4, 6)), (24, 4), "`window_reverse` cannot lay windows of 4×4 out as 4×6"),
        (ops.Slice(5), MAP, "`slice` from 0 to 5 along axis 0 is not inside of 4×4×6"),
        (ops.Slice(1, axis=3), MAP, "`slice` along axis 3 needs more axes than 4×4×6 has"),
        (ops.Split(3), MAP, "`split` cannot divide axis 0 of 4×4×6 into 3 equal parts"),
        (ops.Split(2, 2), MAP, "`split` into 2 parts has no part 2: they count from 0"),
        (ops.Embedding(4), MAP, "`embedding` takes a map of one channel (1×H×W) or a vector, not 4×4×6"),
        (ops.ToIntegers(4, low=1.0), (4,), "`to_integers` has no values from low 1 to high 1"),
        (ops.Attention(2, windows=5), (24, 4), "`attention` cannot divide the tokens 24×4 into windows 5"),
    ],
    ids=lambda case: case.name if isinstance(case, Op) else None,
)  # fmt: skip
def test_a_shape_error_says_what_does_not_fit(op: Op, shape: Shape, message: str) -> None:
    with pytest.raises(ShapeError) as error:
        op.output(shape)
    assert str(error.value) == message


@pytest.mark.parametrize("formula", ["none", "tanh"])
def test_gelu_is_computed_by_the_formula_that_is_asked_for(formula: Literal["none", "tanh"]) -> None:
    x = value(MAP)
    assert module_of(ops.Gelu(formula), MAP)(x).equal(F.gelu(x, approximate=formula))
