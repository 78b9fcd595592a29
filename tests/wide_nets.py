"""Networks that are cut where several tensors cross, as specc is given them and in plain PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import specc
from specc.plan import Plan
from specc.spec.load import loads

from .documents import Document

State = dict[str, Tensor]
Stage = Callable[[State, State], State]  # parameters and what is alive before, to what is alive after


def conv(name: str, out: int, source: str | None = None, **more: Any) -> Document:
    return {"name": name, "op": "conv", "out": out} | ({"from": source} if source else {}) | more


def op(name: str, kind: str, source: str | list[str] | None = None, **more: Any) -> Document:
    return {"name": name, "op": kind} | ({"from": source} if source else {}) | more


END = [op("pool", "global_avg_pool"), op("fc", "linear", out=5)]


@dataclass(frozen=True)
class Net:
    """A network as specc is given it, where it is cut, and the same in plain PyTorch, a function a block."""

    layers: list[Document]
    after: list[str]
    stages: Sequence[Stage]


def c(p: State, name: str, x: Tensor, k: int = 3, stride: int = 1) -> Tensor:
    return F.conv2d(x, p[f"{name}.conv.weight"], p.get(f"{name}.conv.bias"), stride, k // 2)


def end(p: State, x: Tensor) -> Tensor:
    return F.linear(x.mean((2, 3)), p["fc.fc.weight"], p["fc.fc.bias"])


def joined(*xs: Tensor) -> Tensor:
    return torch.cat(xs, 1)


def up(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def unet_down(p: State, s: State) -> State:
    one = c(p, "down1", s["main"]).relu()
    return {"main": c(p, "down2", F.max_pool2d(one, 2)).relu(), "one": one}


def unet_bottom(p: State, s: State) -> State:
    return s | {"main": c(p, "bottom", F.max_pool2d(s["main"], 2)).relu(), "two": s["main"]}


def unet_up(p: State, s: State) -> State:
    return {"main": c(p, "up2", torch.cat((s["two"], up(s["main"], s["two"])), 1)).relu(), "one": s["one"]}


def unet_end(p: State, s: State) -> State:
    return {"main": end(p, c(p, "up1", torch.cat((s["one"], up(s["main"], s["one"])), 1)).relu())}


UNET = Net(
    [conv("down1", 4), op("d1", "relu"), op("half1", "max_pool"), conv("down2", 6), op("d2", "relu"),
     op("half2", "max_pool"), conv("bottom", 8), op("b", "relu"),
     op("raise2", "resize", size=[4, 4]), op("join2", "concat", ["d2", "raise2"]), conv("up2", 6), op("u2", "relu"),
     op("raise1", "resize", size=[8, 8]), op("join1", "concat", ["d1", "raise1"]), conv("up1", 4), op("u1", "relu"),
     *END],
    ["d2", "b", "u2"], (unet_down, unet_bottom, unet_up, unet_end),
)  # fmt: skip


def dense(name: str, count: int) -> Stage:
    """One more layer of a dense block, which reads all before it."""

    def stage(p: State, s: State) -> State:
        before = [s["main"]] if count == 0 else [s[f"f{i}"] for i in range(count)]
        new = c(p, name, torch.cat(before, 1)).relu()
        return {key: x for key, x in s.items() if key != "main"} | {"main": new, f"f{count}": new}

    return stage


DENSE = Net(
    [conv("a", 3), op("ar", "relu"), conv("b", 3), op("br", "relu"), op("two", "concat", ["ar", "br"]), conv("d", 3),
     op("dr", "relu"), op("three", "concat", ["ar", "br", "dr"]), conv("e", 4), op("er", "relu"), *END],
    ["ar", "br", "dr"],
    (dense("a", 0), dense("b", 1), dense("d", 2),
     lambda p, s: {"main": end(p, c(p, "e", torch.cat([s[f"f{i}"] for i in range(3)], 1)).relu())}),
)  # fmt: skip


INCEPTION = Net(
    [conv("stem", 4), op("s", "relu"), conv("one", 2, k=1), conv("three0", 3, "s", k=1), op("t", "relu"),
     conv("three1", 3), conv("five", 2, "s", k=5), op("cat", "concat", ["one", "three1", "five"]), op("n", "relu"),
     conv("tail", 4), *END],
    ["one", "three1"],
    (
        lambda p, s: {"main": c(p, "one", (x := c(p, "stem", s["main"]).relu()), 1), "s": x},
        lambda p, s: {"main": c(p, "three1", c(p, "three0", s["s"], 1).relu()), "s": s["s"], "one": s["main"]},
        lambda p, s: {"main": end(p, c(p, "tail", joined(s["one"], s["main"], c(p, "five", s["s"], 5)).relu()))},
    ),
)  # fmt: skip


BRANCHES = Net(
    [conv("trunk", 4), op("t", "relu"), conv("a", 4), op("ar", "relu"), conv("b", 4, "t"), op("br", "relu"),
     op("sum", "add", ["ar", "br"]), conv("tail", 6), *END],
    ["t", "ar", "b"],
    (
        lambda p, s: {"main": c(p, "trunk", s["main"]).relu()},
        lambda p, s: {"main": c(p, "a", s["main"]).relu(), "t": s["main"]},
        lambda p, s: {"main": c(p, "b", s["t"]), "a": s["main"]},
        lambda p, s: {"main": end(p, c(p, "tail", s["a"] + s["main"].relu()))},
    ),
)  # fmt: skip
NETS = {"unet": UNET, "dense": DENSE, "inception": INCEPTION, "branches": BRANCHES}
HEAD = {"classifier": {"layers": "0c1f"}}


def document(net: Net, **parts: Any) -> Document:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 5, "samples": 32, "batch_size": 6}
    own = {"specc": 1, "name": "wide", "data": data, "backbone": {"layers": net.layers}, "split": {"after": net.after}}
    return own | {"auxiliary": HEAD} | parts


def plan_of(net: Net, **parts: Any) -> Plan:
    return specc.compile(loads(json.dumps(document(net, **parts))))


def windows(*sizes: int) -> list[Document]:
    return [{"name": f"w{size}", "window": size, "weight": 1 / size} for size in sizes]
