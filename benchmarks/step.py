"""The time of a training step, as ratios: specc with one block beside a hand-written loop, local methods beside that.

    python -m benchmarks.step [--json FILE] [--rounds N] [--processes N] [--only loop|methods|memory|compiled]

CPU time of one thread. What is compared takes turns, and the median of the ratios of the turns is told, so that a
machine with other work tells little worse. Two processes take turns too: in one glibc keeps what a step frees, as in a
run, in the other it hands it back, as it does by itself. Where tensors happen to lie in memory makes a step of a
process some per cent slower or faster for as long as it lives, so the loop is measured in several pairs of processes,
which build the two steps in either order; the ratio is the median of theirs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parent.parent / "specs"
Row = dict[str, Any]
NETWORKS: dict[str, tuple[dict[str, Any], int]] = {  # the backbone of the spec, as of the same name in `plain`; batch
    "resnet": ({"family": "resnet_cifar", "depth": 20}, 32),
    "vit": ({"family": "vit", "patch": 4, "width": 96, "depth": 4, "heads": 4}, 32),
    "vgg": ({"family": "vgg", "depth": 11, "hidden": 256}, 8),
}
OPTIMIZERS = ("sgd", "adamw")
FORMATS = ("contiguous", "channels_last")
COMPILED: dict[str, dict[str, Any]] = {  # small ones: a part takes its compiler a good while
    "resnet": {"family": "resnet_cifar", "depth": 8},
    "vit": {"family": "vit", "patch": 4, "width": 96, "depth": 1, "heads": 4},
}  # fmt: skip
HELD = ("e2e", "infopro", "man_hpff")  # of which the memory of the process is looked at
METHODS = ("e2e", "dgl", "infopro", "man", "hpff", "man_hpff")
BATCH = 32  # of the methods: ResNet-32 on CIFAR-10, K = 16
KEPT, HANDED_BACK = "kept", "handed back"


def of_loop() -> list[Row]:
    """The cases of one block beside the loop; a vision transformer has one map, which no format changes."""
    return [
        {"network": network, "optimizer": optimizer, "memory_format": form}
        for network in NETWORKS for optimizer in OPTIMIZERS for form in FORMATS
        if network != "vit" or form == "contiguous"
    ]  # fmt: skip


class Worker:
    """A process that builds steps and times them."""

    def __init__(self, *, keep: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, keep), daemon=True)
        self.process.start()

    def ask(self, *words: Any) -> Any:
        """Call a function of `Steps` over there."""
        self.pipe.send(words)
        said, answer = self.pipe.recv()
        if said != "done":
            raise RuntimeError(answer)
        return answer

    def time(self, name: str) -> float:
        """CPU seconds of a step over there."""
        found: float = self.ask("time", name)
        return found

    def close(self) -> None:
        """End it."""
        self.pipe.send(None)
        self.process.join()


@contextmanager
def workers() -> Iterator[dict[str, Worker]]:
    """One of each kind."""
    found = {KEPT: Worker(keep=True), HANDED_BACK: Worker(keep=False)}
    try:
        yield found
    finally:
        for worker in found.values():
            worker.close()


def serve(pipe: Connection, keep: bool) -> None:
    """Answer until there is nothing more to do."""
    from benchmarks.steps import Steps
    from runtime.engine.heap import keep_freed_memory

    if keep and not keep_freed_memory():
        print("glibc is not asked to keep freed memory here: see `freed_memory` of `specc doctor`", flush=True)
    steps = Steps()
    while words := pipe.recv():
        try:
            pipe.send(("done", getattr(steps, words[0])(*words[1:])))
        except Exception as error:  # the other process tells it
            pipe.send(("failed", f"{type(error).__name__}: {error}"))


def alternating(contestants: Sequence[str], rounds: int, run: Callable[[str], float]) -> dict[str, list[float]]:
    """Times of all, one after the other and back."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name in contestants if turn % 2 else reversed(contestants):
            found[name].append(run(name))
    return found


def ratio(times: dict[str, list[float]], of: str, to: str) -> float:
    """The median of the ratios of each turn."""
    return statistics.median(x / y for x, y in zip(times[of], times[to], strict=True))


def loop(rounds: int, processes: int) -> Iterator[Row]:
    """One block beside the loop, both in processes that keep freed memory, and both in some that do not."""
    for case in of_loop():
        found = [beside(case, rounds, loop_first=bool(number % 2)) for number in range(processes)]
        ratios = [name for name in found[0] if name.startswith("ratio")]
        yield case | {
            "milliseconds": found[0]["milliseconds"],
            "page_faults": found[0]["page_faults"],
            **{name: statistics.median(each[name] for each in found) for name in ratios},
            "ratios": [round(each["ratio"], 3) for each in found],
        }


def beside(case: Row, rounds: int, *, loop_first: bool) -> Row:
    """In a pair of processes of their own."""
    with workers() as two:
        names = [f"{side} {kind}" for kind in two for side in ("specc", "loop")]
        for worker in two.values():
            worker.ask("build", case, loop_first)
        times = alternating(names, rounds, lambda name: two[name.split(" ", 1)[1]].ask("time", name.split()[0]))
        faults = {name: two[name.split(" ", 1)[1]].ask("faults", name.split()[0]) for name in names}
    return {
        "milliseconds": {name: round(1e3 * statistics.median(each), 2) for name, each in times.items()},
        "page_faults": faults,
        "ratio": ratio(times, f"specc {KEPT}", f"loop {KEPT}"),
        "ratio_handed_back": ratio(times, f"specc {HANDED_BACK}", f"loop {HANDED_BACK}"),
        "ratio_to_an_untuned_loop": ratio(times, f"specc {KEPT}", f"loop {HANDED_BACK}"),
    }


def methods(rounds: int) -> Iterator[Row]:
    """Local methods beside end-to-end training, with freed memory kept and handed back."""
    end_to_end, *others = METHODS
    with workers() as two:
        for worker in two.values():
            worker.ask("build_spec", spec(end_to_end), BATCH, end_to_end)
        for method in others:
            for worker in two.values():
                worker.ask("build_spec", spec(method), BATCH, method)
            names = [f"{name} {kind}" for kind in two for name in (end_to_end, method)]
            times = alternating(names, rounds, lambda name: two[name.split(" ", 1)[1]].ask("time", name.split()[0]))
            for worker in two.values():
                worker.ask("forget", method)
            yield {
                "method": method,
                "ratio": ratio(times, f"{method} {KEPT}", f"{end_to_end} {KEPT}"),
                "ratio_handed_back": ratio(times, f"{method} {HANDED_BACK}", f"{end_to_end} {HANDED_BACK}"),
                "kept_to_handed_back": ratio(times, f"{method} {KEPT}", f"{method} {HANDED_BACK}"),
                "end_to_end_kept_to_handed_back": ratio(times, f"{end_to_end} {KEPT}", f"{end_to_end} {HANDED_BACK}"),
            }


def spec(method: str) -> str:
    """The shipped spec of a method."""
    return str(SPECS / f"{method}_cifar10.yaml")


def compiled(rounds: int) -> Iterator[Row]:
    """`train.compile` beside the same without it, and what compiling takes."""
    for network, backbone in COMPILED.items():
        worker = Worker(keep=True)
        took = worker.ask("build_compiled", network, backbone)
        times = alternating(("compiled", "plain"), rounds, worker.time)
        worker.close()
        yield {"network": network, "ratio": ratio(times, "compiled", "plain"), "seconds_to_compile": took}


def memory() -> Iterator[Row]:
    """What the process of a run holds at most and after a step, beyond what it held before the first; MiB."""
    for method in HELD:
        row: Row = {"method": method}
        for kind in (KEPT, HANDED_BACK):
            worker = Worker(keep=kind == KEPT)
            row[kind] = worker.ask("resident", spec(method), BATCH)
            worker.close()
        yield row


def shown(row: Row) -> str:
    """A row as it is printed."""
    words = []
    for name, value in row.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each:g}" for key, each in value.items())
        words.append(str(value) if name in ("network", "method", "memory_format", "optimizer")
                     else f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")  # fmt: skip
    return "  ".join(words)


PARTS: dict[str, Callable[[int, int], Iterator[Row]]] = {
    "loop": loop,
    "methods": lambda rounds, processes: methods(rounds),
    "memory": lambda rounds, processes: memory(),
    "compiled": lambda rounds, processes: compiled(rounds),
}


def main() -> None:
    """Measure and print, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--processes", type=int, default=4, metavar="N", help="pairs of them, for the loop")
    parser.add_argument("--only", choices=list(PARTS), action="append")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # of the workers
    found: dict[str, list[Row]] = {}
    for name in arguments.only or PARTS:
        print(f"-- {name}")
        for row in PARTS[name](arguments.rounds, arguments.processes):
            found.setdefault(name, []).append(row)
            print(shown(row), flush=True)
        if arguments.json:  # what is done is kept
            document = {"format_version": 1, "rounds": arguments.rounds, **found}
            arguments.json.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
