"""What every backbone family shares: its configuration in YAML and the way it grows layer after layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..graph import INPUT, BackboneGraph, Layer, Node
from ..ops import Add, BatchNorm, Conv, GlobalAvgPool, Linear, Op, Relu, Shape


class LayerBuilder:
    """Builds a backbone as named layers; nodes are called ``layer.node``."""

    def __init__(self, input: Shape) -> None:
        self.input = input
        self.shapes: dict[str, Shape] = {INPUT: input}
        self.layers: list[Layer] = []
        self.last = INPUT
        self._nodes: list[Node] = []
        self._layer = ""

    @property
    def shape(self) -> Shape:
        """Shape of the last value."""
        return self.shapes[self.last]

    @contextmanager
    def layer(self, name: str, path: tuple[str | int, ...] = ("backbone",)) -> Iterator[None]:
        """Everything added inside belongs to the layer `name`."""
        self._layer, self._nodes = name, []
        yield
        self.layers.append(Layer(name, tuple(self._nodes), path))

    def add(self, name: str, op: Op, *inputs: str) -> str:
        """Append one op to the open layer, reading `inputs` (full names) or the last value; returns its full name."""
        sources = inputs or (self.last,)
        in_shapes = tuple(self.shapes[source] for source in sources)
        node = Node(f"{self._layer}.{name}", op, sources, in_shapes, op.output(*in_shapes))
        self._nodes.append(node)
        self.shapes[node.name] = node.shape
        self.last = node.name
        return node.name

    def graph(self) -> BackboneGraph:
        """The finished backbone."""
        return BackboneGraph(self.input, tuple(self.layers))


def conv_bn(b: LayerBuilder, suffix: str, conv: Conv, *inputs: str) -> str:
    """A convolution and its batch norm: ``conv<suffix>``, ``bn<suffix>``."""
    b.add(f"conv{suffix}", conv, *inputs)
    return b.add(f"bn{suffix}", BatchNorm())


def shortcut(b: LayerBuilder, source: str, out: int, stride: int) -> str:
    """What is added at the end of a residual block: the input, projected where size or width changes."""
    if stride == 1 and b.shapes[source][0] == out:
        return source
    b.add("downsample.conv", Conv(out, k=1, stride=stride, pad=0), source)
    return b.add("downsample.bn", BatchNorm())


def basic_block(b: LayerBuilder, out: int, stride: int) -> None:
    """Two 3×3 convolutions and a shortcut (He et al. 2016, section 3)."""
    source = b.last
    conv_bn(b, "1", Conv(out, stride=stride))
    b.add("relu1", Relu())
    main = conv_bn(b, "2", Conv(out))
    b.add("add", Add(), main, shortcut(b, source, out, stride))
    b.add("relu2", Relu())


def bottleneck(b: LayerBuilder, inner: int, out: int, stride: int, groups: int = 1) -> None:
    """1×1, 3×3 with the stride, 1×1, and a shortcut (torchvision's layout)."""
    source = b.last
    conv_bn(b, "1", Conv(inner, k=1))
    b.add("relu1", Relu())
    conv_bn(b, "2", Conv(inner, stride=stride, groups=groups))
    b.add("relu2", Relu())
    main = conv_bn(b, "3", Conv(out, k=1))
    b.add("add", Add(), main, shortcut(b, source, out, stride))
    b.add("relu3", Relu())


def residual_stages(b: LayerBuilder, blocks: tuple[int, ...], grow: Callable[[LayerBuilder, int, int], None]) -> None:
    """Layers ``stage1.0 ...``; ``grow(builder, stage, stride)`` adds one; later stages begin with stride 2."""
    for stage, count in enumerate(blocks):
        for i in range(count):
            with b.layer(f"stage{stage + 1}.{i}"):
                grow(b, stage, 2 if stage and not i else 1)


def classifier_head(b: LayerBuilder, classes: int) -> None:
    """The layer ``head``: global average pool and a linear classifier."""
    with b.layer("head"):
        b.add("pool", GlobalAvgPool())
        b.add("fc", Linear(classes))
