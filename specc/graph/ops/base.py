"""What every op says about itself: arguments, shape, parameters, FLOPs and what autograd keeps for its backward.

Shapes never contain the batch: ``(C, H, W)`` for feature maps, ``(C, D, H, W)`` for volumes, ``(T, D)`` for tokens,
``(D,)`` for vectors. A signal of one axis is a map of one row, ``(C, 1, L)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from pydantic import ConfigDict

from ...tasks.dtypes import DType
from .footprint import Footprint

Shape = tuple[int, ...]
Autocast = Literal["low", "full", "same", "widest"]  # bf16 or fp16, fp32, each input as it comes, all as the widest
ParameterKind = Literal["weights", "norms", "biases", "embeddings", "scales"]
INPUT = "input"  # the name of a graph's one input, and of what an op with parts reads


class ShapeError(ValueError):
    """An op cannot take the shape it is given; the message says both."""

    help: tuple[str, ...] = ()


class DTypeError(ShapeError):
    """An op cannot take the kind of numbers it is given."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = (help,)


class RangeError(ShapeError):
    """An op has an argument out of its range, which a macro, a family or a head derived; or there are too many ops."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What the autograd graph keeps between the forward and the backward of one op, on CUDA.

    Kept inputs and outputs are references to values that other ops may share; the rest belongs to this op alone.
    """

    inputs: tuple[int, ...] = ()  # indices of the inputs that stay alive
    if_trained: bool = False  # inputs serve the parameters' gradients alone, and parameters the inputs'
    factors: bool = False  # an input serves the other inputs' gradients alone
    output: bool = False
    elements: int = 0  # further numbers of the activation's dtype, a sample; made even where no gradient is needed
    bytes: int = 0  # further bytes, a sample (masks, int64 indices, fp32 statistics)
    floats: int = 0  # further fp32 numbers, independent of the batch (statistics)
    again: int = 0  # further fp32 numbers where the op is computed again for the backward
    passing: int = 0  # bytes, a sample, that the backward makes beside the gradients and frees again
    cpu_elements: int | None = None  # what a CPU keeps instead of `bytes`, in numbers of the activation's dtype

    @property
    def own(self) -> bool:
        """Whether any of it is made by the op itself, so that the op has to run for it."""
        return self.output or any((self.elements, self.bytes, self.floats))

    @property
    def anything(self) -> bool:
        """Whether there is any of it."""
        return self.own or bool(self.inputs)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an op that looks at the whole batch exchanges with the other copies of the network, in fp32 numbers."""

    gathered: int  # from each copy, by the forward
    summed: int  # over all copies, by the backward: gradients of its parameters, wanted or not
    forward: int  # what the forward takes for a moment, before its result is made
    backward: int  # what the backward takes for a moment, beside the gradients


NOTHING = Saved()
# Of numbers in memory: channels before positions (in tokens after them), the other way round, or either of these with
# gaps. Where an op needs them one after the other torch makes a copy.
Order = Literal["plain", "swapped", "slice", "swapped slice"]
Lies = Literal["kept", "turned", "plain", "swapped", "input"]  # an order, or: as what is given, or the other way round
SubOp = tuple[str, "Op", tuple[str, ...]]  # name, op, and which other parts (or "input") it reads

SAVES_INPUT = Saved(inputs=(0,))
SAVES_FACTOR = Saved(inputs=(0,), if_trained=True)
SAVES_OUTPUT = Saved(output=True)


class Named:
    """What specs name, an op or a macro; subclasses are frozen dataclasses whose fields are the arguments in YAML."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: ClassVar[str]  # by default the class's in small letters: `batch_norm` is `BatchNorm`

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


class Op(Named):
    """One operation of the vocabulary."""

    __slots__ = ()
    torch: ClassVar[str] = ""  # an op of a package says where its module is made: `package.module:function`
    prefix: ClassVar[str] = ""  # how an unnamed node of this op is numbered: conv0, bn1, ...; by default by its name
    arity: ClassVar[int | None] = 1  # number of inputs; None: two or more
    aliases: ClassVar[dict[str, str]] = {}  # the field's other names for an argument
    cost: ClassVar[int] = 0  # FLOPs of a number of the result
    saves: ClassVar[Saved] = NOTHING
    reads: ClassVar[DType] = "float32"  # the kind of numbers it takes
    makes: ClassVar[DType] = "float32"
    autocast: ClassVar[Autocast] = "same"  # in mixed precision
    inplace: ClassVar[bool] = False  # may overwrite its input when nobody else needs it
    answers: ClassVar[Literal["wanted", "input", "all"]] = "wanted"  # the gradients that the backward makes anyway
    blocks_gradient: ClassVar[bool] = False  # the gradient of its input is zero, so that nothing before it learns
    keeps_positions: ClassVar[bool] = False  # every token of the result stands where the same token of an input stood
    gathered: ClassVar[tuple[Order, ...]] = ()  # the orders of an input that is copied first, one number after another
    holds: ClassVar[ParameterKind] = "weights"  # what its parameters are, biases aside
    spreads: ClassVar[bool] = False  # small operands are repeated: their gradients are as large as the result at first

    @property
    def below(self) -> int | None:
        """The integers that it reads or makes are below this number; None: it has to do with none."""
        return None

    @property
    def view(self) -> bool:
        """Whether the output shares the storage of its first input."""
        return self.idle

    @property
    def idle(self) -> bool:
        """Whether the result is the input itself."""
        return False

    @property
    def passes_gradient(self) -> bool:
        """Whether the gradient of every input shares the storage of the output's gradient."""
        return self.idle

    def lacks(self, count: int) -> str:
        """How many inputs it takes, in words, where these are too few or too many; nothing where they fit."""
        if self.arity is None:
            return "two or more inputs" if count < 2 else ""
        return "" if count == self.arity else f"{self.arity} input" + "s" * (self.arity != 1)

    def output(self, *inputs: Shape) -> Shape:
        """Shape of the result; raises `ShapeError` when the inputs do not fit."""
        return inputs[0]

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        """Trainable tensors, by their torch name."""
        return {}

    @property
    def held_back(self) -> tuple[int, ...]:
        """The inputs that no gradient comes to: what is computed for them alone learns nothing."""
        return ()

    @property
    def unmoved(self) -> frozenset[str]:
        """The parameters that no gradient comes to."""
        return frozenset()

    def buffers(self, *inputs: Shape) -> dict[str, Shape]:
        """Tensors that are state but not trained, by their torch name; an empty shape is an int64 counter."""
        return {}

    def buffer_bytes(self, *inputs: Shape) -> int:
        """What its state takes in memory."""
        return sum(4 * numel(shape) if shape else 8 for shape in self.buffers(*inputs).values())

    def initial(self, parameter: str) -> float | None:
        """The number a parameter is filled with before training; None: it is drawn at random."""
        return 0.0 if parameter.endswith("bias") else None

    def kind_of(self, parameter: str) -> ParameterKind:
        """What a parameter is; a normalization's bias is a part of it."""
        return "biases" if parameter.endswith("bias") and self.holds != "norms" else self.holds

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """Floating-point operations of the forward of one sample; a multiply-add counts two."""
        return self.cost * numel(output)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        """What autograd keeps for the backward when gradients are needed."""
        return self.saves

    def exchange(self, inputs: tuple[Shape, ...], copies: int) -> Exchange | None:
        """What it exchanges with so many copies of the network; None: every sample is by itself."""
        return None

    def parts(self, *inputs: Shape) -> tuple[SubOp, ...]:
        """The simpler ops that it is made of, for the memory model; empty where it is one call of torch's."""
        return ()

    def footprint(self, low: bool, widths: tuple[int, ...], wanted: tuple[bool, ...],
                  trained: bool) -> Footprint | None:  # fmt: skip
        """Its memory as measured, for inputs of so many bytes a number; None: what `saved` says goes for it."""
        return None

    def fresh(self, *inputs: Shape) -> bool:
        """Whether the result is no view of another tensor: torch copies what is overwritten through a view."""
        return not self.view

    @property
    def result_lies(self) -> Lies:
        """How the result lies in memory, given the first operand, which torch follows."""
        return "kept"

    @property
    def gradient_lies(self) -> Lies:
        """How an input's gradient lies in memory, given the result's gradient; `input`: as that input."""
        return "kept"

    def order(self, orders: tuple[Order, ...], output: Shape) -> Order:
        """How the result lies in memory."""
        return _laid(self.result_lies, without_gaps(orders[0]))

    def gradient_order(self, order: Order, incoming: Order) -> Order:
        """How the gradient of an input of some order lies in memory."""
        return without_gaps(order) if self.gradient_lies == "input" else _laid(self.gradient_lies, incoming)

    def gathers(self, order: Order, shape: Shape) -> bool:
        """Whether an input of this order has to be copied first."""
        return len(shape) > 1 and order in self.gathered

    def accepts(self, shape: Shape) -> bool:
        """Whether the op can follow a value of this shape (for generators and diagnostics)."""
        try:
            self.output(*[shape] * (self.arity or 2))
        except ShapeError:
            return False
        return True


def without_gaps(order: Order) -> Order:
    """How torch lays out what it makes after the model of something in this order."""
    return "plain" if order == "slice" else "swapped" if order == "swapped slice" else order


def _laid(how: Lies, order: Order) -> Order:
    """The order of what is made of something in `order`."""
    if how == "turned":
        return "plain" if order == "swapped" else "swapped"
    return how if how in ("plain", "swapped") else order


def numel(shape: Shape) -> int:
    """Number of elements of one sample."""
    return prod(shape)


def show(shape: Shape) -> str:
    """A shape as people write it: ``16×32×32``."""
    return "×".join(map(str, shape))


def need_map(op: Op, shape: Shape) -> tuple[int, int, int]:
    """The (C, H, W) of a feature map, or a `ShapeError` that names the op."""
    if len(shape) != 3:
        raise ShapeError(f"`{op.name}` takes a feature map (C×H×W), not {show(shape)}")
    return shape[0], shape[1], shape[2]


def need_grid(op: Op, shape: Shape) -> Shape:
    """The (C, H, W) of a feature map or (C, D, H, W) of a volume, or a `ShapeError` that names the op."""
    if len(shape) not in (3, 4):
        raise ShapeError(f"`{op.name}` takes a feature map (C×H×W) or a volume (C×D×H×W), not {show(shape)}")
    return shape


def need_tokens(op: Op, shape: Shape) -> tuple[int, int]:
    """The (T, D) of tokens, or a `ShapeError` that names the op."""
    if len(shape) != 2:
        raise ShapeError(f"`{op.name}` takes tokens (T×D), not {show(shape)}")
    return shape[0], shape[1]


def channels(shape: Shape) -> int:
    """Numbers at one position: the first axis of maps and volumes, the last one of tokens and vectors."""
    return shape[0] if is_grid(shape) else shape[-1]


def is_grid(shape: Shape) -> bool:
    """Whether channels come first and then the positions along two axes or three: a feature map, or a volume."""
    return len(shape) > 2


def on_grid(shape: Shape) -> Shape:
    """A sample's shape with its positions on a grid: a signal (C, L) is a map of one row."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape
