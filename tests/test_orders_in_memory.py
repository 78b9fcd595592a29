"""How results and gradients lie in memory: what the ops say as data, asked of torch."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import pytest
import torch
from torch import Tensor

from runtime.engine.modules import BUILDERS
from runtime.memory.trace import trace
from specc.graph import ops
from specc.graph.builder import Builder
from specc.graph.ops import OPS, Op, Order, Shape
from specc.memory.prediction import as_traced, first_difference
from specc.testing.layer_lists import offers, read

from .documents import compiled

SHAPES: tuple[Shape, ...] = ((4, 6, 6), (9, 4))
ORDERS: tuple[Order, ...] = ("plain", "swapped")


def single() -> Iterator[tuple[Op, Shape]]:
    """Every op that reads one value, with each of its offered arguments, at each shape that it takes."""
    for shape in SHAPES:
        for name in OPS:
            for arguments in offers(name, shape) if OPS[name].arity == 1 else ():
                op = read({"op": name, **arguments}).args
                if isinstance(op, Op) and op.accepts(shape) and not (op.idle or op.parts(shape)):
                    yield op, shape


ROWS = (ops.Reshape((9, 4)), ops.Reshape((1, 9, 4)))  # torch sees that the same rows need no copy
CASES = [(op, shape, order) for op, shape in single() for order in ORDERS if op not in ROWS]


def laid(shape: Shape, order: Order) -> Tensor:
    """Numbers of two samples in an order: in the swapped one, positions and channels have changed places."""
    x = torch.rand(2, *shape)
    return x if order == "plain" else x.flatten(2).mT.contiguous().mT.view_as(x) if len(shape) == 2 else last(x)


def last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def lies(x: Tensor) -> Order | None:
    """None for what lies in no order, as a mean's gradient does, which is one number for many places."""
    if x.is_contiguous():
        return "plain"
    swapped = x.movedim(1, -1) if x.dim() == 4 else x.mT
    return "swapped" if swapped.is_contiguous() else None


def several(shape: Shape) -> bool:
    """Whether there are channels and positions to exchange."""
    return len(shape) > 1 and shape[0] > 1 and prod(shape[1:]) > 1


@pytest.mark.parametrize(("op", "shape", "order"), CASES, ids=str)
def test_a_result_lies_as_its_op_says(op: Op, shape: Shape, order: Order) -> None:
    x = laid(shape, order)
    out = BUILDERS[op.name](op, (shape,))(x)
    gathers = op.gathers(order, shape)
    if several(op.output(shape)):
        assert lies(out) == op.order((order,), op.output(shape))
    if op.view:
        assert (out.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()) is not gathers


@pytest.mark.parametrize(
    ("op", "shape", "fresh"),
    [
        (ops.LayerNorm(), (4, 6, 6), False), (ops.LayerNorm(), (9, 4), True), (ops.SqueezeExcite(2), (4, 6, 6), True),
        (ops.PatchEmbed(4, 2), (4, 6, 6), False), (ops.Attention(2), (9, 4), False), (ops.Linear(3), (4,), True),
    ],
)  # fmt: skip
def test_only_what_is_no_view_is_overwritten(op: Op, shape: Shape, fresh: bool) -> None:
    """What an op with parts gives is what the last of them gives; torch copies what is overwritten through a view."""
    b = Builder(shape)
    b.chain((op, ops.Relu()))
    assert (b.last in b.graph().overwriting) is fresh
    out = BUILDERS[op.name](op, (shape,))(laid(shape, "plain").requires_grad_())
    assert not (fresh and out._is_view())


def test_what_an_op_says_of_its_order_in_memory_is_data() -> None:
    """Methods only where the words of `Lies` do not suffice."""
    own = {(name, rule) for name, op in OPS.items() for rule in ("order", "gradient_order", "gathers")
           if getattr(op, rule) is not getattr(Op, rule)}  # fmt: skip
    assert own == {("concat", "order")}


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_slice_of_images_is_copied_alone_where_its_numbers_are_gathered(slices: int) -> None:
    layers = [{"name": "flat", "op": "flatten"}, {"name": "fc", "op": "linear", "out": 4}]
    train = {"memory_format": "channels_last", "micro_batches": slices}
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 24, "batch_size": 6}
    plan = compiled(data=data, backbone={"layers": layers}, split={"blocks": 1}, train=train)
    assert first_difference(as_traced(plan), trace(plan).timeline, tolerance=0) is None
