"""The least recomputation that fits, against torch's own: `torch._functorch.config.activation_memory_budget`.

    python -m benchmarks.recompute [--json FILE] [--only resnet20|resnet32|vit|vgg] [--budgets 0.8,0.5,0.2]

torch.compile's partitioner decides op by op what of a joint forward and backward is computed again (min-cut, then a
knapsack for a budget between 0 and 1). Here both of its graphs run op by op, and what is alive is counted by the meter
of real steps, as it is for specc, so compilation, fusion and time are left out. For every budget specc is given the
peak that torch has reached. Both are steps of the same network with SGD and momentum.

What is told are ratios: the peak to that of a plain loop; FLOPs of convolutions and products beyond the plain loop's,
and bytes written beyond its, both as shares of its own. torch counts activations alone and takes no heed of
gradients, of the optimizer or of what its backward makes in between.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch._dynamo
import torch._functorch.config as functorch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.backends.debugging import boxed_nop
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor.decomposition import select_decomp_table
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from runtime import Session
from runtime.memory.meter import LiveTensors
from specc.compiler.draft import Draft
from specc.compiler.variants import recompiled
from specc.fit.recomputation import Recomputation
from specc.pipeline import PREDICTING, run_passes
from specc.plan import Plan
from specc.spec.knobs import written
from specc.spec.load import loads
from specc.spec.models import SpecModel

from . import plain

Row = dict[str, Any]
NETWORKS: dict[str, tuple[dict[str, Any], Callable[[], torch.nn.Module], int]] = {  # of the spec, plain; and the batch
    "resnet20": ({"family": "resnet_cifar", "depth": 20}, lambda: plain.resnet(20), 32),
    "resnet32": ({"family": "resnet_cifar", "depth": 32}, lambda: plain.resnet(32), 32),
    "vit": ({"family": "vit", "patch": 4, "width": 96, "depth": 4, "heads": 4}, plain.Vit, 32),
    "vgg": ({"family": "vgg", "depth": 11, "hidden": 256}, plain.vgg, 64),
}
BUDGETS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)


class Counted(LiveTensors):
    """What is alive, and what is done: FLOPs of products, bytes written."""

    def __init__(self, resident: list[Tensor]) -> None:
        super().__init__(resident)
        self.flops = self.written = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the op and count."""
        result = super().__torch_dispatch__(func, types, args, kwargs)
        packet = getattr(func, "_overloadpacket", None)
        if packet in flop_registry:
            self.flops += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        self.written += sum(x.nbytes for x in tree_leaves(result) if isinstance(x, Tensor) and not x._is_view())
        return result


@dataclass(frozen=True, slots=True)
class Took:
    """One step."""

    peak: int
    flops: int
    written: int


class Compiled:
    """A plain loop whose network and loss torch partitions under a budget, and then runs op by op."""

    def __init__(self, name: str, budget: float | None) -> None:
        torch._dynamo.reset()
        torch.manual_seed(0)
        self.network, self.inside = NETWORKS[name][1](), budget is not None
        self.batch = torch.rand(NETWORKS[name][2], 3, 32, 32), torch.randint(10, (NETWORKS[name][2],))
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.counted: Counted | None = None

        def loss(x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(self.network(x), y)

        self.loss: Callable[[Tensor, Tensor], Tensor] = loss
        if budget is not None:
            functorch.activation_memory_budget = budget
            backend = aot_autograd(
                fw_compiler=self._run, bw_compiler=self._run, partition_fn=min_cut_rematerialization_partition,
                decompositions=select_decomp_table,
            )  # fmt: skip
            self.loss = torch.compile(loss, backend=backend)

    def _run(self, module: Any, inputs: Any, **_: Any) -> Callable[[list[Any]], Any]:
        """A graph op by op; a mode around torch.compile would make it do nothing, so it is put inside."""
        inner = boxed_nop(module, inputs)

        def run(given: list[Any]) -> Any:
            if self.counted is None:
                return inner(given)
            with self.counted:
                return inner(given)

        run._boxed_call = True
        return run

    def _step(self) -> None:
        self.loss(*self.batch).backward()
        if self.counted is not None and self.inside:
            with self.counted:
                self.optimizer.step()
        else:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def measured(self) -> Took:
        """The third step."""
        self._step()
        self._step()
        state = [each["momentum_buffer"] for each in self.optimizer.state.values()]
        counted = Counted([*self.network.parameters(), *self.network.buffers(), *self.batch, *state])
        self.counted = counted
        if self.inside:
            self._step()
        else:
            with counted:
                self._step()
        return Took(counted.peak, counted.flops, counted.written)


def of_specc(plan: Plan) -> Took:
    """The third step of a plan."""
    torch.manual_seed(0)
    session = Session(plan)
    batch = torch.rand(plan.config.data.batch_size, 3, 32, 32), torch.randint(10, (plan.config.data.batch_size,))
    for _ in range(2):
        session.train_step(*batch)
    counted = Counted([*session.resident(), *batch])
    with counted:
        session.train_step(*batch)
    return Took(counted.peak, counted.flops, counted.written)


def plan_of(draft: Draft, config: SpecModel) -> Plan:
    """The plan of another configuration, which is known to have one."""
    found = recompiled(draft, config)
    assert found is not None
    return found.plan


def compared(name: str, budgets: tuple[float, ...]) -> Iterator[Row]:
    """A network under every budget, and specc at the peak that torch has come to."""
    backbone, _, batch = NETWORKS[name]
    own = Compiled(name, None).measured()
    document: Row = {
        "specc": 1,
        "name": name,
        "data": {"dataset": "cifar10", "batch_size": batch},
        "backbone": backbone,
    }
    document["train"] = {"optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9}}
    draft = run_passes(loads(json.dumps(document, allow_nan=False)).on("cpu"), PREDICTING)
    least = Recomputation(draft, draft.spec.config)
    lowest = least.lowest

    def row(kind: str, took: Took | None, **more: Any) -> Row:
        if took is None:
            return {"network": name, "kind": kind, **more}
        return {"network": name, "kind": kind, "peak": took.peak / own.peak, "flops": took.flops / own.flops - 1,
                "written": took.written / own.written - 1, **more}  # fmt: skip

    yield row("specc, nothing again", of_specc(draft.plan))
    yield row(
        "specc, the lowest", of_specc(plan_of(draft, lowest.config)), layers=written(lowest.config.train.recompute)
    )
    for budget in budgets:
        theirs = Compiled(name, budget).measured()
        yield row("torch", theirs, budget=budget)
        found = least.under(theirs.peak)
        if found is None:
            yield row("specc", None, budget=budget, layers="no choice has so low a peak")
        else:
            yield row("specc", of_specc(plan_of(draft, found.config)), budget=budget)


def shown(row: Row) -> str:
    """A line of the table."""
    numbers = (f"{key} {row[key]:+.3f}" for key in ("peak", "flops", "written") if key in row)
    return "  ".join(
        [f"{row['network']:9} {row['kind']:22} {row.get('budget', ''):4}", *numbers, row.get("layers", "")]
    )


def main() -> None:
    """Compare and print, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", choices=list(NETWORKS), action="append")
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)), metavar="LIST")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    budgets = tuple(float(each) for each in arguments.budgets.split(","))
    rows: list[Row] = []
    for name in arguments.only or NETWORKS:
        for row in compared(name, budgets):
            rows.append(row)
            print(shown(row), flush=True)
            if arguments.json:  # what is done is kept
                document = {"format_version": 1, "torch": torch.__version__, "rows": rows}
                arguments.json.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
