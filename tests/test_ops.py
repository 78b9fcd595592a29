"""Every op says the truth about itself: what it predicts is what its torch module does."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import convnext, mobilenetv3
from torchvision.models.vision_transformer import EncoderBlock
from torchvision.ops import StochasticDepth

from runtime.engine.modules import BUILDERS, BatchNorm
from specc.graph import ops
from specc.graph.builder import Builder
from specc.graph.graph import INPUT, Graph
from specc.graph.ops import OPS, Op, Shape, ShapeError
from specc.graph.ops.codec import plain
from specc.graph.ops.entry import arguments, make

Case = tuple[Op, tuple[Shape, ...]]
BATCH = 2
fuzz = settings(derandomize=True, deadline=None, max_examples=20)


# Valid ops and inputs by construction, one strategy an op

small = st.integers(1, 4)
sides = st.integers(1, 9)
either = st.booleans()
maps = st.tuples(small, sides, sides)
tokens = st.tuples(sides, small)
vectors = st.tuples(st.integers(1, 8))
anything = st.one_of(vectors, tokens, maps)
size = st.one_of(sides, st.tuples(sides, sides))


@st.composite
def convs(draw: st.DrawFn) -> Case:
    groups, k, dilation = draw(st.integers(1, 3)), draw(st.tuples(small, small)), draw(st.integers(1, 2))
    pad = draw(st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 2))))
    h, w = (draw(st.integers(dilation * (side - 1) + 1, 12)) for side in k)
    stride = draw(st.one_of(small, st.tuples(small, small)))
    op = ops.Conv(groups * draw(small), k, stride, pad, groups, dilation, draw(either))
    return op, ((groups * draw(small), h, w),)


@st.composite
def pools(draw: st.DrawFn, kind: type[ops.MaxPool | ops.AvgPool]) -> Case:
    k = draw(st.tuples(small, small))
    pad = (draw(st.integers(0, k[0] // 2)), draw(st.integers(0, k[1] // 2)))
    stride = draw(st.one_of(st.none(), small))
    h, w = (draw(st.integers(side, 12)) for side in k)
    return kind(k, stride, pad, draw(either)), ((draw(small), h, w),)


@st.composite
def group_norms(draw: st.DrawFn) -> Case:
    groups = draw(small)
    c = groups * draw(st.integers(2, 3))
    return ops.GroupNorm(groups), (draw(st.sampled_from([(c,), (c, 3, 2)])),)


@st.composite
def products(draw: st.DrawFn) -> Case:
    c, h, w = draw(maps)
    pair = [(c, h, w), draw(st.sampled_from([(c, h, w), (c,), (c, 1, 1)]))]
    return ops.Mul(), tuple(draw(st.permutations(pair)))


@st.composite
def concats(draw: st.DrawFn) -> Case:
    shape = draw(anything)
    axis = draw(st.integers(0, len(shape) - 1))
    lengths = draw(st.lists(small, min_size=2, max_size=3))
    return ops.Concat(axis), tuple((*shape[:axis], n, *shape[axis + 1 :]) for n in lengths)


@st.composite
def foldings(draw: st.DrawFn) -> Case:
    h, skip, square = draw(small), draw(st.integers(0, 2)), draw(either)
    w = h if square else draw(small)
    return ops.ToMap(None if square else (h, w), skip), ((skip + h * w, draw(small)),)


@st.composite
def patch_embeds(draw: st.DrawFn) -> Case:
    k = draw(st.tuples(small, small))
    return ops.PatchEmbed(draw(small), k, draw(either)), ((draw(small), k[0] * draw(small), k[1] * draw(small)),)


@st.composite
def attentions(draw: st.DrawFn) -> Case:
    heads, windows = draw(small), draw(st.integers(1, 3))
    return ops.Attention(heads, draw(either), windows), ((windows * draw(small), heads * draw(small)),)


@st.composite
def transposed_convs(draw: st.DrawFn) -> Case:
    groups, k = draw(st.integers(1, 2)), draw(st.tuples(small, small))
    stride = draw(st.tuples(small, small))
    more = (draw(st.integers(0, stride[0] - 1)), draw(st.integers(0, stride[1] - 1)))
    pad = (draw(st.integers(0, (k[0] - 1) // 2)), draw(st.integers(0, (k[1] - 1) // 2)))
    op = ops.ConvTranspose(groups * draw(small), k, stride, pad, more, groups, draw(either))
    return op, ((groups * draw(small), draw(small), draw(small)),)


@st.composite
def reshapes(draw: st.DrawFn) -> Case:
    shape = draw(anything)
    n = math.prod(shape)
    first = draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))
    return ops.Reshape(draw(st.sampled_from([(n,), (first, n // first), (1, first, n // first)]))), (shape,)


@st.composite
def windowed(draw: st.DrawFn, kind: type[ops.WindowPartition | ops.WindowReverse]) -> Case:
    c, (kh, kw), (rows, columns) = draw(small), draw(st.tuples(small, small)), draw(st.tuples(small, small))
    if kind is ops.WindowPartition:
        return kind((kh, kw)), ((c, kh * rows, kw * columns),)
    return ops.WindowReverse((kh, kw), (kh * rows, kw * columns)), ((kh * rows * kw * columns, c),)


@st.composite
def cuts(draw: st.DrawFn) -> Case:
    shape = draw(anything)
    axis = draw(st.integers(0, len(shape) - 1))
    if draw(either):
        start = draw(st.integers(0, shape[axis] - 1))
        return ops.Slice(draw(st.integers(start + 1, shape[axis])), start, axis), (shape,)
    into = draw(st.integers(1, 3))
    longer = (*shape[:axis], into * shape[axis], *shape[axis + 1 :])
    return ops.Split(into, draw(st.integers(0, into - 1)), axis), (longer,)


def prelu_shapes(op: ops.Prelu) -> st.SearchStrategy[Shape]:
    return anything if op.slopes == "one" else st.one_of(vectors, maps)


def on(op: Op | st.SearchStrategy[Op], shapes: st.SearchStrategy[Shape], count: int = 1) -> st.SearchStrategy[Case]:
    """Cases of an op that takes every one of the shapes."""
    return st.tuples(op if isinstance(op, st.SearchStrategy) else st.just(op), shapes.map(lambda s: (s,) * count))


GATING = (["relu", "silu"], ["sigmoid", "hardsigmoid"])
CASES: dict[str, st.SearchStrategy[Case]] = {
    "periodic_basis": st.tuples(
        st.builds(ops.PeriodicBasis, small, st.sampled_from(["cosine", "square"])), small.map(lambda d: ((d,),))
    ),
    "conv": convs(),
    "linear": on(st.builds(ops.Linear, small, either), st.one_of(vectors, tokens)),
    "batch_norm": on(ops.BatchNorm(), st.one_of(vectors, maps)),
    "group_norm": group_norms(),
    "layer_norm": on(ops.LayerNorm(1e-6), anything),
    **{
        kind.name: on(kind(), anything)
        for kind in (ops.Relu, ops.Relu6, ops.LeakyRelu, ops.Silu, ops.Hardswish, ops.Hardsigmoid, ops.Sigmoid)
    },
    "tanh": on(ops.Tanh(), anything),
    "gelu": on(st.builds(ops.Gelu, st.sampled_from(["none", "tanh"])), anything),
    "softmax": on(ops.Softmax(), anything),
    "max_pool": pools(ops.MaxPool),
    "avg_pool": pools(ops.AvgPool),
    "adaptive_avg_pool": on(st.builds(ops.AdaptiveAvgPool, size), maps),
    "global_avg_pool": on(ops.GlobalAvgPool(), st.one_of(tokens, maps)),
    "flatten": on(ops.Flatten(), anything),
    "to_tokens": on(ops.ToTokens(), maps),
    "to_map": foldings(),
    "resize": on(st.builds(ops.Resize, size, either, st.sampled_from(["bilinear", "nearest"])), maps),
    "add": st.integers(2, 4).flatmap(lambda n: on(ops.Add(), anything, n)),
    "mul": products(),
    "concat": concats(),
    "dropout": st.booleans().flatmap(
        lambda all: on(st.builds(ops.Dropout, st.sampled_from([0.0, 0.5]), st.just(all)), maps if all else anything)
    ),
    "drop_path": on(st.builds(ops.DropPath, st.sampled_from([0.0, 0.5])), anything),
    "layer_scale": on(ops.LayerScale(), anything),
    "squeeze_excite": on(st.builds(ops.SqueezeExcite, small, *map(st.sampled_from, GATING)), maps),
    "patch_embed": patch_embeds(),
    "class_token": on(ops.ClassToken(), tokens),
    "position_embedding": on(ops.PositionEmbedding(), tokens),
    "select_token": tokens.flatmap(lambda s: on(st.builds(ops.SelectToken, st.integers(0, s[0] - 1)), st.just(s))),
    "attention": attentions(),
    "conv_transpose": transposed_convs(),
    "rms_norm": on(ops.RmsNorm(), anything),
    "prelu": st.builds(ops.Prelu, st.sampled_from(["one", "channels"])).flatmap(
        lambda op: on(op, prelu_shapes(op))
    ),
    "scale": on(st.builds(ops.Scale, st.sampled_from([-1.0, 0.5])), anything),
    "reshape": reshapes(),
    "transpose": on(ops.Transpose(), tokens),
    "permute": anything.flatmap(
        lambda s: on(st.permutations(range(len(s))).map(lambda axes: ops.Permute(tuple(axes))), st.just(s))
    ),
    "channel_shuffle": st.tuples(small, maps).map(lambda d: (ops.ChannelShuffle(d[0]), ((d[0] * d[1][0], *d[1][1:]),))),
    "space_to_depth": st.tuples(small, small, small, small).map(
        lambda d: (ops.SpaceToDepth(d[0]), ((d[1], d[0] * d[2], d[0] * d[3]),))
    ),
    "depth_to_space": st.tuples(small, maps).map(
        lambda d: (ops.DepthToSpace(d[0]), ((d[0] ** 2 * d[1][0], *d[1][1:]),))
    ),
    "window_partition": windowed(ops.WindowPartition),
    "window_reverse": windowed(ops.WindowReverse),
    "roll": on(st.builds(ops.Roll, st.one_of(st.integers(-12, 12), st.tuples(small, small))), maps),
    "slice": cuts().filter(lambda case: isinstance(case[0], ops.Slice)),
    "split": cuts().filter(lambda case: isinstance(case[0], ops.Split)),
    "to_integers": on(st.builds(ops.ToIntegers, st.integers(2, 9)), anything),
    "embedding": on(
        st.builds(ops.Embedding, small, st.just(4)),
        st.one_of(vectors, st.tuples(st.just(1), sides, sides)),
    ),
}  # fmt: skip

each_op = pytest.mark.parametrize("name", OPS)


def module_of(op: Op, shapes: tuple[Shape, ...], device: str = "cpu", dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.device(device):
        return BUILDERS[op.name](op, shapes).to(dtype)


def values(
    shapes: tuple[Shape, ...], device: str = "cpu", dtype: torch.dtype = torch.float32, reads: str = "float32"
) -> list[Tensor]:
    """Random inputs that need a gradient and are nobody's leaf, as inside a network; integers need none."""
    if reads == "int64":
        return [torch.randint(4, (BATCH, *s), device=device) for s in shapes]
    return [torch.randn(BATCH, *s, device=device, dtype=dtype, requires_grad=True).mul(1.0) for s in shapes]


def storage(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


# The vocabulary


def test_every_op_has_a_builder_and_a_case_and_nothing_else_has() -> None:
    assert {*OPS, "opaque"} == set(BUILDERS)
    assert set(OPS) == set(CASES)


@each_op
def test_an_op_is_documented_and_its_aliases_lead_to_arguments(name: str) -> None:
    kind = OPS[name]
    assert kind.name == name
    assert not (kind.__doc__ or "").startswith(kind.__name__ + "(")  # what a dataclass writes by itself
    assert (kind.prefix or name).isidentifier()
    assert set(kind.aliases.values()) <= set(arguments(kind))
    assert not set(kind.aliases) & set(arguments(kind))


# Shapes, parameters, values


@each_op
@fuzz
@given(data=st.data())
def test_shapes_and_parameters_are_those_of_the_module(name: str, data: st.DataObject) -> None:
    op, shapes = data.draw(CASES[name])
    module = module_of(op, shapes, "meta").eval()
    assert module(*values(shapes, "meta", reads=op.reads)).shape == (BATCH, *op.output(*shapes))
    assert {n: tuple(p.shape) for n, p in module.named_parameters()} == op.parameters(*shapes)
    assert {n: tuple(b.shape) for n, b in module.named_buffers()} == op.buffers(*shapes)


@each_op
@fuzz
@given(data=st.data())
def test_the_forward_is_finite_and_flops_are_counted(name: str, data: st.DataObject) -> None:
    op, shapes = data.draw(CASES[name])
    out = module_of(op, shapes, dtype=torch.float64)(*values(shapes, dtype=torch.float64, reads=op.reads))
    assert str(out.dtype) == f"torch.{'float64' if op.makes == 'float32' else op.makes}"
    assert out.isfinite().all()
    assert op.flops(shapes, op.output(*shapes)) >= 0


@each_op
@fuzz
@given(data=st.data())
def test_arguments_survive_yaml(name: str, data: st.DataObject) -> None:
    op, _ = data.draw(CASES[name])
    assert make(type(op), plain(op)) == op


@each_op
@fuzz
@given(data=st.data())
def test_an_op_accepts_exactly_the_shapes_it_has_an_output_for(name: str, data: st.DataObject) -> None:
    op, _ = data.draw(CASES[name])
    shape = data.draw(anything)
    if op.accepts(shape):
        assert op.output(*[shape] * (op.arity or 2))
    else:
        with pytest.raises(ShapeError, match=f"`{name}`"):
            op.output(*[shape] * (op.arity or 2))


VOCABULARY: list[Op] = [
    ops.Conv(4), ops.Conv(3, k=1), ops.Conv(4, stride=2), ops.BatchNorm(), ops.GroupNorm(2), ops.LayerNorm(),
    ops.Relu(), ops.Gelu(), ops.MaxPool(), ops.AvgPool(3, 2, 1, ceil=True), ops.AdaptiveAvgPool(3),
    ops.SqueezeExcite(2), ops.LayerScale(), ops.Resize(4), ops.PatchEmbed(4, k=2), ops.ToTokens(), ops.Attention(2),
    ops.ClassToken(), ops.PositionEmbedding(), ops.Dropout(), ops.DropPath(), ops.Add(), ops.Mul(), ops.Concat(),
    ops.ToMap(), ops.Linear(4), ops.SelectToken(), ops.RmsNorm(), ops.Prelu(), ops.Roll(1), ops.ChannelShuffle(),
    ops.WindowPartition(2), ops.SpaceToDepth(), ops.ConvTranspose(4), ops.Transpose(), ops.Split(), ops.Slice(1),
    ops.Attention(2, windows=4), ops.GlobalAvgPool(), ops.Flatten(), ops.Softmax(),
]  # fmt: skip


@settings(fuzz, max_examples=100)
@given(data=st.data())
def test_any_chain_of_accepting_ops_runs(data: st.DataObject) -> None:
    builder = Builder((3, 8, 8))
    for _ in range(data.draw(st.integers(1, 12))):
        op = data.draw(st.sampled_from([op for op in VOCABULARY if op.accepts(builder.shape)]))
        builder.add(op, inputs=[builder.last] * (op.arity or 2))
    x = torch.randn(BATCH, 3, 8, 8, dtype=torch.float64)
    for node in builder.nodes:
        x = module_of(node.op, node.in_shapes, dtype=torch.float64)(*[x] * len(node.inputs))
        assert x.shape == (BATCH, *node.shape)
    assert x.isfinite().all()


# What autograd keeps


def saved_tensors(module: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    kept: list[Tensor] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        return module(*inputs), kept


def measured(module: nn.Module, inputs: list[Tensor]) -> tuple[set[str], int]:
    """Which inputs and outputs the module keeps, and how many bytes beyond them and its own state."""
    output, kept = saved_tensors(module, inputs)
    own = {storage(x) for x in (*module.parameters(), *module.buffers())}
    names = {storage(output): "output"} | {storage(x): f"input{i}" for i, x in enumerate(inputs)}
    sizes = {storage(x): x.untyped_storage().nbytes() for x in kept if storage(x) not in own}
    return {names[s] for s in sizes if s in names}, sum(n for s, n in sizes.items() if s not in names)


def predicted(op: Op, shapes: tuple[Shape, ...]) -> tuple[set[str], int]:
    saved = op.saved(shapes, op.output(*shapes))
    names = {f"input{i}" for i in saved.inputs} | ({"output"} if saved.output else set())
    extra = saved.bytes if saved.cpu_elements is None else 4 * saved.cpu_elements
    return names, BATCH * (4 * saved.elements + extra) + 4 * saved.floats


@each_op
@fuzz
@given(data=st.data())
def test_autograd_keeps_what_the_op_says(name: str, data: st.DataObject) -> None:
    op, shapes = data.draw(CASES[name])
    nothing = (set(), 0)  # is kept of what no gradient comes through
    inputs = values(shapes, reads=op.reads)
    assert measured(module_of(op, shapes), inputs) == (nothing if op.blocks_gradient else predicted(op, shapes))


@each_op
@fuzz
@given(data=st.data())
def test_views_and_passed_gradients_share_storage(name: str, data: st.DataObject) -> None:
    op, shapes = data.draw(CASES[name])
    inputs = values(shapes, reads=op.reads)
    output = module_of(op, shapes)(*inputs)
    assert (storage(output) == storage(inputs[0])) == op.view
    if "int64" in (op.reads, op.makes):  # there is no gradient
        return
    gradient = torch.ones_like(output)
    gradients = torch.autograd.grad(output, inputs, gradient)
    assert all((storage(g) == storage(gradient)) == op.passes_gradient for g in gradients)


def test_relu_in_place_keeps_one_buffer_and_leaves_evaluation_alone() -> None:
    module = module_of(ops.Relu(), ((3,),))
    assert isinstance(module, nn.ReLU)
    module.inplace = True
    x = values(((3,),))
    assert measured(module, x) == ({"input0"}, 0)
    y = torch.tensor([[-1.0]])
    module.eval()(y)
    assert y.item() == -1.0


def test_only_ops_whose_module_can_work_in_place() -> None:
    assert [name for name, kind in OPS.items() if kind.inplace] == ["relu"]


# FLOPs


def counted(op: Op, shape: Shape) -> int:
    """The multiply-adds, counted two each, that torch sees for one sample."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module_of(op, (shape,))(torch.randn(1, *shape))
    return int(counter.get_total_flops())


@fuzz
@given(case=st.one_of(convs(), patch_embeds(), CASES["linear"], transposed_convs()))
def test_flops_of_products_are_what_torch_counts(case: Case) -> None:
    op, (shape,) = case
    output = op.output(shape)
    biases = math.prod(output) if "bias" in op.parameters(shape) else 0
    assert op.flops((shape,), output) == counted(op, shape) + biases


@fuzz
@given(case=attentions())
def test_flops_of_attention_are_what_torch_counts(case: Case) -> None:
    op, (shape,) = case
    assert isinstance(op, ops.Attention)
    t, d = shape
    assert op.flops((shape,), shape) == counted(op, shape) + 5 * op.heads * t * (t // op.windows) + 4 * t * d * op.bias


# The same numbers as torch's and torchvision's own modules

Step = tuple[Op, str, list[str]]  # an op, its name, and what it reads if not the value before


def vision_block(width: int, heads: int) -> list[Step]:
    return [
        (ops.LayerNorm(1e-6), "ln_1", []), (ops.Attention(heads), "self_attention", []),
        (ops.Dropout(0.0), "dropout", []), (ops.Add(), "skip_1", ["dropout", INPUT]),
        (ops.LayerNorm(1e-6), "ln_2", []), (ops.Linear(2 * width), "mlp.0", []), (ops.Gelu(), "mlp.1", []),
        (ops.Dropout(0.0), "mlp.2", []), (ops.Linear(width), "mlp.3", []), (ops.Dropout(0.0), "mlp.4", []),
        (ops.Add(), "skip_2", ["mlp.4", "skip_1"]),
    ]  # fmt: skip


def convnext_block(c: int, hw: tuple[int, int]) -> list[Step]:
    return [
        (ops.Conv(c, k=7, groups=c, bias=True), "block.0", []), (ops.ToTokens(), "block.1", []),
        (ops.LayerNorm(1e-6), "block.2", []), (ops.Linear(4 * c), "block.3", []), (ops.Gelu(), "block.4", []),
        (ops.Linear(c), "block.5", []), (ops.ToMap(hw), "block.6", []), (ops.LayerScale(0.5), "layer_scale", []),
        (ops.DropPath(0.0), "stochastic_depth", []), (ops.Add(), "skip", ["stochastic_depth", INPUT]),
    ]  # fmt: skip


def inverted_residual(c: int, expanded: int, squeeze: int) -> list[Step]:
    norm = ops.BatchNorm(1e-3, 0.01)
    return [
        (ops.Conv(expanded, k=1), "block.0.0", []), (norm, "block.0.1", []), (ops.Hardswish(), "block.0.2", []),
        (ops.Conv(expanded, k=5, groups=expanded), "block.1.0", []), (norm, "block.1.1", []),
        (ops.Hardswish(), "block.1.2", []), (ops.SqueezeExcite(squeeze, gate="hardsigmoid"), "block.2", []),
        (ops.Conv(c, k=1), "block.3.0", []), (norm, "block.3.1", []), (ops.Add(), "skip", ["block.3.1", INPUT]),
    ]  # fmt: skip


def torchvision_mobile_block() -> nn.Module:
    config = mobilenetv3.InvertedResidualConfig(8, 5, 32, 8, True, "HS", 1, 1, 1.0)
    block: nn.Module = mobilenetv3.InvertedResidual(config, partial(nn.BatchNorm2d, eps=0.001, momentum=0.01))
    return block


def forward(graph: Graph, state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Run a graph whose nodes carry torchvision's names on torchvision's tensors."""
    seen = {INPUT: x}
    for node in graph.nodes:
        module = module_of(node.op, node.in_shapes)
        names = module.state_dict()  # an op that is one parameter there: layer_scale, class_token, pos_embedding
        module.load_state_dict({n: state.get(f"{node.name}.{n}", state.get(node.name)) for n in names})
        seen[node.name] = module(*(seen[name] for name in node.inputs))
    return seen[graph.output]


@pytest.mark.parametrize(
    ("theirs", "shape", "steps"),
    [
        (lambda: EncoderBlock(2, 8, 16, 0.0, 0.0), (5, 8), vision_block(8, 2)),
        (lambda: convnext.CNBlock(4, 0.5, 0.0), (4, 6, 5), convnext_block(4, (6, 5))),
        (torchvision_mobile_block, (8, 6, 5), inverted_residual(8, 32, 8)),
    ],
    ids=["vit", "convnext", "mobilenet_v3"],
)
def test_a_block_of_torchvision_in_ops(theirs: Callable[[], nn.Module], shape: Shape, steps: list[Step]) -> None:
    builder = Builder(shape)
    for op, name, sources in steps:
        builder.add(op, name, sources or ())
    x, reference = torch.randn(BATCH, *shape), theirs()
    state = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    torch.testing.assert_close(forward(builder.graph(), state, x), reference(x))


def test_attention_equals_multihead_attention() -> None:
    ours, theirs = module_of(ops.Attention(2), ((5, 8),)), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    (x,) = values(((5, 8),))
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_layer_norm_of_a_map_equals_torchvision() -> None:
    (x,) = values(((4, 3, 2),))
    ours, theirs = module_of(ops.LayerNorm(1e-6), ((4, 3, 2),)), convnext.LayerNorm2d(4, eps=1e-6)
    assert torch.equal(ours(x), theirs(x))


def test_drop_path_draws_as_torchvision() -> None:
    x = torch.ones(64, 3, 2, 2)
    torch.manual_seed(0)
    ours = module_of(ops.DropPath(0.3), ((3, 2, 2),))(x)
    torch.manual_seed(0)
    assert torch.equal(ours, StochasticDepth(0.3, "row")(x))


def test_dropout_of_channels_keeps_or_drops_whole_ones() -> None:
    torch.manual_seed(0)
    kept = module_of(ops.Dropout(0.5, channels=True), ((16, 3, 2),))(torch.ones(8, 16, 3, 2)).flatten(2)
    assert torch.equal(kept.amin(2), kept.amax(2))
    assert set(kept.unique().tolist()) == {0.0, 2.0}


def test_batch_norm_counts_a_step_several_times() -> None:
    once, twice = (BatchNorm(3, 1e-5, 0.1, updates) for updates in (1, 2))
    x = torch.randn(8, 3)
    for module in (twice, once, once):
        module(x)
    torch.testing.assert_close(twice.running_var, once.running_var)
    assert twice.num_batches_tracked == once.num_batches_tracked == 2
    once.tracking = False
    once(x)
    assert once.num_batches_tracked == 2


def test_constant_starts() -> None:
    assert ops.LayerNorm().initial("weight") == 1.0
    assert ops.Conv(3, bias=True).initial("bias") == 0.0
    assert ops.Attention(1).initial("out_proj.bias") == 0.0
    assert ops.Conv(3).initial("weight") is None
    assert ops.LayerScale(0.1).initial("weight") == 0.1


# Messages


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (ops.Conv(6, groups=4), [(8, 2, 2)],
         "`conv` with groups 4 cannot divide the channels of 8×2×2 and 6 output channels"),
        (ops.Conv(6, k=(1, 7), pad=0), [(8, 4, 4)], "`conv` with k 1×7 and pad 0×0 does not fit into 8×4×4"),
        (ops.Linear(2), [(8, 4, 4)], "`linear` takes a vector or tokens, not the feature map 8×4×4; flatten it first"),
        (ops.MaxPool(2, pad=2), [(8, 4, 4)], "`max_pool` of 8×4×4 with pad 2×2: that is more than half of k 2×2"),
        (ops.GlobalAvgPool(), [(8,)],
         "`global_avg_pool` takes a feature map (C×H×W) or tokens (T×D), not the vector 8"),
        (ops.BatchNorm(), [(4, 8)], "`batch_norm` takes a feature map or a vector, not the tokens 4×8; use layer_norm"),
        (ops.GroupNorm(3), [(8, 2, 2)], "`group_norm` with groups 3 cannot divide the channels of 8×2×2"),
        (ops.Add(), [(8,), (4,)], "`add` needs equal shapes, not 8 and 4"),
        (ops.Mul(), [(8, 2, 2), (4,)],
         "`mul` needs equal shapes, or a gate (C or C×1×1) for a feature map (C×H×W), not 8×2×2 and 4"),
        (ops.Concat(), [(8, 2, 2), (8, 3, 2)],
         "`concat` along axis 0 needs shapes equal elsewhere, not 8×2×2 and 8×3×2"),
        (ops.ToMap(skip=1), [(9, 4)], "`to_map` with skip 1 cannot lay the tokens 9×4 out as a square"),
        (ops.PatchEmbed(8, k=3), [(3, 8, 8)], "`patch_embed` cannot cut 3×8×8 into patches of 3×3"),
        (ops.SelectToken(4), [(4, 8)], "`select_token` with index 4 needs more tokens than 4×8 has"),
        (ops.Attention(3), [(4, 8)], "`attention` with heads 3 cannot divide the width of tokens 4×8"),
        (ops.Attention(3), [(4,)], "`attention` takes tokens (T×D), not 4"),
    ],
)  # fmt: skip
def test_a_shape_error_says_both_shapes(op: Op, shapes: list[Shape], message: str) -> None:
    with pytest.raises(ShapeError) as error:
        op.output(*shapes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("conv", {"out": 0}), ("conv", {"out": 4, "stride": 0}), ("conv", {"out": 4, "k": [3]}),
        ("conv", {"out": True}), ("conv", {"out": 4, "pad": -1}), ("conv", {}), ("conv", {"out": 4, "kernel": 3}),
        ("dropout", {"p": 1.0}),
        ("batch_norm", {"momentum": 2}), ("gelu", {"approximate": "erf"}), ("layer_norm", {"eps": 0}),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused(name: str, args: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        make(OPS[name], args)
