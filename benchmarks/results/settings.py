"""What is trained: every method at one setting, and what it is compared with at equal memory and in equal time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SEEDS = (0, 1, 2)
COMMON = (
    "data.image_size=14", "data.batch_size=64", "train.memory_format=channels_last", "train.schedule.warmup_epochs=0",
)  # fmt: skip
LIMIT = 7 * 2**20  # bytes of a step, where memory is to be equal
EPOCHS = (2, 4)  # of end-to-end training, where time is to be equal
DECOUPLED = ((1, 0, 1), (2, 1, 1), (2, 8, 1), (4, 1, 1))  # ranks, steps ahead, epochs
METHODS = {
    "e2e": "end to end", "dgl": "DGL", "predsim": "PredSim", "lls": "LLS", "dsn": "DSN", "infopro": "InfoPro",
    "auglocal": "AugLocal", "sff": "SFF", "ff": "FF", "man": "MAN", "manpp": "MAN++", "hpff": "HPFF",
    "man_hpff": "MAN + HPFF",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A recipe for Fashion-MNIST under overrides; `group` is the question that it answers."""

    group: str
    recipe: str
    name: str
    overrides: tuple[str, ...] = ()
    epochs: int = 1
    ranks: int = 1

    @property
    def spec(self) -> Path:
        """The recipe's file."""
        return ROOT / "specs" / f"{self.recipe}_fashion_mnist.yaml"

    @property
    def step(self) -> tuple[str, ...]:
        """The overrides that a step depends on."""
        return (*COMMON, *self.overrides)

    def arguments(self, seed: int) -> tuple[str, ...]:
        """Everything that is said beside the spec."""
        return (*self.step, f"train.epochs={self.epochs}", f"train.seed={seed}")

    @property
    def timed(self) -> bool:
        """Whether its step is one of those that are timed in turn, in one process."""
        return self.group in ("setting", "memory")

    def folder(self, seed: int) -> Path:
        """Where a run of it lies, in the folder of all."""
        return Path(self.group) / self.name / str(seed)


def settings() -> Iterator[Setting]:
    """All of them."""
    for method in METHODS:
        yield Setting("setting", method, method)
    for recipe, way, override in (
        ("e2e", "micro_batches", "train.micro_batches=2"),
        ("e2e", "recompute", "train.recompute=true"),
        *((method, "micro_batches", "train.micro_batches=2") for method in ("man", "manpp", "dsn", "ff")),
    ):
        yield Setting("memory", recipe, f"{recipe}_{way}", (override,))
    for epochs in EPOCHS:
        yield Setting("time", "e2e", f"e2e_{epochs}", epochs=epochs)
    for ranks, ahead, epochs in DECOUPLED:
        if (name := decoupled(ranks, ahead, epochs)) != "man":
            several = (f"devices.block_parallel={ranks}", "devices.mode=decoupled", f"devices.staleness={ahead}")
            yield Setting("decoupled", "man", name, several * (ranks > 1), epochs, ranks)


def decoupled(ranks: int, ahead: int, epochs: int) -> str:
    """The name of MAN on ranks that do not wait for one another; of one rank it is plain MAN."""
    return "man" + f"_decoupled_{ranks}_{ahead}" * (ranks > 1) + f"_{epochs}" * (epochs > 1)
